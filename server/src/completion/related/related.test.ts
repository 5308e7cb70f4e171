import { describe, expect, it } from 'vitest';
import { chooseDefinitions, definitionsOf } from './definitions.js';
import { createRecentDocuments } from './recent-documents.js';
import { createRelatedFiles, nameOf } from './related-files.js';

describe('the definitions of a file', () => {
  it.each([
    [
      'TypeScript',
      "import x from 'y';\nexport interface A {\n  b: string;\n}\nexport function c(d: A): void {\n  if (d) return;\n}\nclass E {\n  constructor() {\n  }\n  run(x: number): void {\n    for (;;) {}\n  }\n}\nconst local = 1;\n",
      [
        'export interface A {',
        'export function c(d: A): void {',
        'class E {',
        '  constructor() {',
        '  run(x: number): void {',
      ],
    ],
    [
      'Python',
      'import os\nMAX_SIZE = 3\ndef a(b):\n    return b\nclass C:\n    async def d(self):\n        pass\n',
      ['MAX_SIZE = 3', 'def a(b):', 'class C:', '    async def d(self):'],
    ],
    [
      'Rust',
      'use x;\npub struct A {\n    b: u8,\n}\nimpl A {\n    pub fn new() -> A {\n        A { b: 1 }\n    }\n}\n',
      ['pub struct A {', 'impl A {', '    pub fn new() -> A {'],
    ],
    [
      'Go',
      'package a\nfunc (s *S) Run() error {\n\treturn nil\n}\ntype S struct {\n}\n',
      ['func (s *S) Run() error {', 'type S struct {'],
    ],
    ['prose', 'There was a class of people.\nThey went home.\n', []],
  ])('of %s', (_language, text, lines) => {
    expect(chooseDefinitions(definitionsOf(text), 4000)).toBe(lines.join('\n'));
  });

  it('keep to their room', () => {
    const all = definitionsOf('export function abcdef() {}\n'.repeat(1000));
    expect(chooseDefinitions(all, 300).length).toBeLessThanOrEqual(300);
  });

  it.each([
    ['export async function run<T>(times: number): T {', 'run'],
    ['export interface Left extends Right {', 'Left'],
    ['const make = (name) => {', 'make'],
    ['class Cart(Base):', 'Cart'],
    ['func (s *Server) Serve() error {', 'Serve'],
    ['pub fn new() -> A {', 'new'],
    ['MOST_TRIES = 3', 'MOST_TRIES'],
    ['public static int total(int a) {', 'total'],
  ])('are known by name: %j', (line, name) => {
    expect(definitionsOf(line)).toEqual([{ name, line }]);
  });
});

describe('other files', () => {
  it('are those that were touched last, of the same family of languages, the unchanged first', () => {
    const documents = createRecentDocuments();
    for (const name of ['a', 'b', 'c'])
      documents.opened(`file:///x/${name}.ts`, 'typescript', `function ${name}() {}`);
    documents.opened('file:///x/d.py', 'python', 'def d(): pass');
    documents.changed('file:///x/a.ts', 0);
    const files = createRelatedFiles();
    const chosen = files.choose('file:///x/c.ts', 'typescriptreact', documents.all(), 1000);
    expect(chosen.map(({ path }) => path)).toEqual(['x/b.ts', 'x/a.ts']);
  });

  it('stay in their order while only the document itself is typed in', () => {
    const documents = createRecentDocuments();
    for (let index = 0; index < 12; index += 1) {
      documents.opened(`file:///x/${index}.ts`, 'typescript', `export function f${index}() {}`);
    }
    const files = createRelatedFiles();
    const choose = (): string =>
      JSON.stringify(files.choose('file:///x/11.ts', 'typescript', documents.all(), 4000));
    const first = choose();
    for (let key = 0; key < 100; key += 1) documents.changed('file:///x/11.ts', key);
    expect(choose()).toBe(first);
    expect(JSON.parse(first)).toHaveLength(6);
  });

  it('are remembered for a while after they were closed, if they were changed', () => {
    const documents = createRecentDocuments();
    documents.opened('file:///a.ts', 'typescript', 'changed');
    documents.changed('file:///a.ts', 0);
    documents.opened('file:///b.ts', 'typescript', 'only looked at');
    documents.closed('file:///a.ts');
    documents.closed('file:///b.ts');
    expect(documents.all()).toMatchObject([{ uri: 'file:///a.ts', text: 'changed', isOpen: false }]);
  });

  it('show of a long file what it defines and what is around its last change', () => {
    const documents = createRecentDocuments();
    const text = `${'// comment\n'.repeat(300)}export function here() {\n  const near = 1;\n}\n${'// more\n'.repeat(300)}`;
    documents.opened('file:///a.ts', 'typescript', text);
    documents.changed('file:///a.ts', text.indexOf('near'));
    const [file] = createRelatedFiles().choose('file:///b.ts', 'typescript', documents.all(), 8000);
    expect(file?.text).toMatch(/^export function here\(\) \{/);
    expect(file?.text).toContain('const near = 1;');
    expect(file?.text.length).toBeLessThan(1500);
  });

  it('show of a long file first what the text at the cursor names, and go on showing it', () => {
    const documents = createRecentDocuments();
    const text = Array.from({ length: 200 }, (_unused, index) => `export function task${index}(): void {}\n`);
    documents.opened('file:///a.ts', 'typescript', text.join(''));
    const files = createRelatedFiles();
    const chosen = (near: string): string =>
      files.choose('file:///b.ts', 'typescript', documents.all(), 8000, near)[0]?.text ?? '';
    expect(chosen('')).not.toContain('task177');
    const first = chosen('await task177(task150(');
    expect(first).toContain('task177(');
    expect(first).toMatch(/task0\(.*task150\(.*task177\(/s);
    expect(first.length).toBeLessThanOrEqual(1200);
    expect(chosen('somewhere else in the document')).toBe(first);
  });

  it('are named by the end of their path, whatever the address looks like', () => {
    expect(nameOf('file:///home/me/project/src/a%20b.ts')).toBe('src/a b.ts');
    expect(nameOf('untitled:Untitled-1')).toBe('Untitled-1');
    expect(nameOf('vscode-remote://ssh%2Bhost/home/me/%E0%A4%A')).toBe('me/%E0%A4%A');
  });
});
