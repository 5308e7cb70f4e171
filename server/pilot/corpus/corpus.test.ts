import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildCorpus, readDocuments } from './build.js';
import { languageOf, type Document } from './document.js';
import { deduplicate } from './duplicates.js';
import { instructionsFrom } from './instructions.js';
import { hasLicenceFile, isPermissive, licenceOf } from './licence.js';
import { cleanText, isSkippedPath, isWorthLearning, withoutLicenceHeader } from './quality.js';
import { split } from './split.js';

const document = (text: string, more: Partial<Document> = {}): Document => ({
  package: 'a',
  version: '1.0.0',
  licence: 'MIT',
  language: 'ts',
  path: 'src/a.ts',
  text,
  ...more,
});

/** Source of some length in which every line is its own. */
function source(name: string, lines = 12): string {
  return Array.from(
    { length: lines },
    (_, index) => `export const ${name}Value${index} = compute${name}(input, ${index});\n`,
  ).join('');
}

describe('licences', () => {
  test.each([
    ['MIT', true],
    ['(MIT OR GPL-3.0)', true],
    ['MIT AND GPL-3.0', false],
    ['MIT AND (ISC OR GPL-3.0)', true],
    ['(MIT AND GPL-3.0) OR LGPL-3.0', false],
    ['Apache-2.0 WITH LLVM-exception', false],
    ['SEE LICENSE IN LICENSE', false],
    ['BlueOak-1.0.0', false],
    ['UNLICENSED', false],
    ['', false],
  ])('%s: %s', (expression, permissive) => {
    expect(isPermissive(expression)).toBe(permissive);
  });

  test('every shape that npm ever allowed is read', () => {
    expect(licenceOf({ license: 'MIT' })).toBe('MIT');
    expect(licenceOf({ license: { type: 'ISC' } })).toBe('ISC');
    expect(licenceOf({ licenses: [{ type: 'MIT' }, { type: 'Apache-2.0' }] })).toBe('MIT OR Apache-2.0');
    for (const none of [{}, { license: 7 }, undefined, [], 'MIT']) expect(licenceOf(none)).toBe('');
  });

  test('only the text of a licence counts, not any file that begins so', () => {
    expect(hasLicenceFile(['LICENSE'])).toBe(true);
    expect(hasLicenceFile(['index.js', 'licence-mit.txt'])).toBe(true);
    expect(hasLicenceFile(['COPYING.md'])).toBe(true);
    expect(hasLicenceFile(['licensed.js', 'index.js', 'README.md'])).toBe(false);
  });
});

describe('what a file must be', () => {
  test('its language is by its name', () => {
    expect(
      ['a.ts', 'a.d.ts', 'a.d.mts', 'a.tsx', 'a.cjs', 'a.py', 'a.css', 'LICENSE'].map(languageOf),
    ).toEqual([...['ts', 'dts', 'dts', 'ts', 'js', 'py', undefined, undefined]]);
  });

  test('tests, bundles and translations are left out', () => {
    for (const skipped of ['src/__tests__/a.ts', 'a.min.js', 'locales/de.js', 'a.spec.ts']) {
      expect(isSkippedPath(skipped)).toBe(true);
    }
    for (const kept of ['src/latest/a.ts', 'lib/contest.js']) expect(isSkippedPath(kept)).toBe(false);
  });

  test('a licence header goes, the first line of a script and other comments stay', () => {
    expect(withoutLicenceHeader('/* Copyright (c) 2020 A */\n\n// Adds.\nadd();\n')).toBe(
      '// Adds.\nadd();\n',
    );
    expect(withoutLicenceHeader('#!/usr/bin/env node\n// SPDX-License: MIT\ngo();\n')).toBe(
      '#!/usr/bin/env node\ngo();\n',
    );
    expect(withoutLicenceHeader('// Adds.\nadd();\n')).toBe('// Adds.\nadd();\n');
  });

  test('bytes that are no text are none; line ends and blanks at line ends are made one way', () => {
    expect(cleanText(Buffer.from([0xc3, 0x28]))).toBeUndefined();
    expect(cleanText(Buffer.from('a\0b'))).toBeUndefined();
    expect(cleanText(Buffer.from('a  \r\nb\n\n\n\n\nc'))).toBe('a\nb\n\n\nc\n');
  });

  test('minified, generated and foreign files, and those with symbols of the tokenizer, are not learned', () => {
    const good = source('good');
    expect(isWorthLearning(good, 'ts')).toBe(true);
    expect(isWorthLearning(`// @generated\n${good}`, 'ts')).toBe(false);
    expect(isWorthLearning(good.replaceAll('\n', ' '), 'ts')).toBe(false);
    expect(isWorthLearning(`${good}// <|fim_middle|>\n`, 'ts')).toBe(false);
    expect(isWorthLearning(`${good}// ${'語'.repeat(60)}\n`, 'ts')).toBe(false);
    expect(isWorthLearning('const a = 1;\n', 'ts')).toBe(false);
    expect(isWorthLearning('function a(b,c){let d=b+c;return d}\n'.repeat(20), 'js')).toBe(false);
  });
});

describe('duplicates', () => {
  test('the first of two alike is kept, whatever the white space', () => {
    const first = document(source('one'));
    const { kept, exact, near } = deduplicate([first, document(source('one').replaceAll('\n', '\n\n'))]);
    expect([kept, exact, near]).toEqual([[first], 1, 0]);
  });

  test('what is mostly known is dropped; what shares a little stays', () => {
    const first = document(source('one', 10));
    const mostlyKnown = document(source('one', 10) + source('two', 3));
    const little = document(source('one', 2) + source('three', 10));
    const { kept, near } = deduplicate([first, mostlyKnown, little]);
    expect([kept, near]).toEqual([[first, little], 1]);
  });
});

describe('the split', () => {
  test('is by package: no package is on both sides', () => {
    const documents = ['a', 'b', 'a', 'c'].map((name, index) =>
      document(source(`${name}${index}`), { package: name, path: `${index}.ts` }),
    );
    const { train, heldOut } = split(documents, new Set(['a']));
    expect(train.map((one) => one.package)).toEqual(['b', 'c']);
    expect(heldOut.map((one) => one.package)).toEqual(['a', 'a']);
  });

  test('a held-out file that training text holds is dropped, and counted', () => {
    const { heldOut, dropped } = split(
      [document(source('same')), document(source('same'), { package: 'held' })],
      new Set(['held']),
    );
    expect([heldOut, dropped]).toEqual([[], 1]);
  });

  test('declarations are bounded', () => {
    const code = Array.from({ length: 20 }, (_, index) => document(source(`c${index}`)));
    const declarations = Array.from({ length: 20 }, (_, index) =>
      document(source(`d${index}`), { language: 'dts', path: `${index}.d.ts` }),
    );
    const kept = split([...code, ...declarations], new Set()).train;
    const share = kept.filter(({ language }) => language === 'dts').length / kept.length;
    expect(share).toBeGreaterThan(0);
    expect(share).toBeLessThanOrEqual(0.11);
  });
});

test('questions are made of documented functions', () => {
  const javascript = document(
    '/**\n * Adds two numbers together.\n */\nexport function add(a, b) {\n  return a + b;\n}\n',
  );
  expect(instructionsFrom(javascript)).toEqual([
    {
      question: 'Write a TypeScript function `add`: adds two numbers together.',
      answer: '```ts\nexport function add(a, b) {\n  return a + b;\n}\n```',
    },
  ]);
  const python = document(
    'def add(a, b):\n    """Add two numbers together.\n\n    More."""\n    return a + b\n',
    {
      language: 'py',
    },
  );
  expect(instructionsFrom(python)).toMatchObject([
    { question: 'Write a Python function `add`: add two numbers together.' },
  ]);
  expect(instructionsFrom(document('/** No. */\nfunction f() {\n  g();\n}\n'))).toEqual([]);
});

describe('the whole corpus of a small tree', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'hearth-corpus-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  function put(name: string, file: string, text: string): void {
    const full = path.join(folder, 'node_modules', name, file);
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, text);
  }
  function packageOf(name: string, manifest: object, files: Readonly<Record<string, string>>): void {
    put(name, 'package.json', JSON.stringify({ name: path.basename(name), version: '1.2.3', ...manifest }));
    for (const [file, text] of Object.entries(files)) put(name, file, text);
  }

  test('has the permitted packages, nested ones too, without duplicates, and says why others are not in it', () => {
    packageOf(
      'good',
      { license: 'MIT' },
      { LICENSE: 'x', 'src/a.ts': source('good'), 'a.test.ts': source('test') },
    );
    packageOf('good/node_modules/inner', { license: 'ISC' }, { LICENSE: 'x', 'a.js': source('inner') });
    packageOf('copy', { license: 'MIT' }, { LICENSE: 'x', 'a.js': source('good') });
    packageOf('word', { license: 'MIT' }, { 'a.js': source('word') });
    packageOf('closed', { license: 'UNLICENSED' }, { LICENSE: 'x', 'a.js': source('closed') });
    packageOf('held', { license: 'MIT' }, { LICENSE: 'x', 'a.ts': source('held') });
    const build = (): string =>
      buildCorpus(
        { packages: [path.join(folder, 'node_modules')], python: [path.join(folder, 'absent')] },
        path.join(folder, 'data'),
        () => {},
        new Set(['held']),
      );
    const report = build();
    const files = ['train.jsonl', 'heldout.jsonl', 'instructions.jsonl'].map((name) =>
      path.join(folder, 'data', name),
    );
    const [train, heldOut] = files.slice(0, 2).map((file) => readDocuments(file).map((one) => one.package));
    expect(train).toEqual(['good', 'inner']);
    expect(heldOut).toEqual(['held']);
    const rows = report.split('\n').map((line) =>
      line
        .split('|')
        .map((cell) => cell.trim())
        .slice(1, -1),
    );
    expect(rows).toContainEqual(['good', '1.2.3', 'MIT', '1', String(source('good').length)]);
    expect(rows).toContainEqual(['word', '1.2.3', 'MIT', 'no licence file']);
    expect(rows).toContainEqual(['closed', '1.2.3', 'UNLICENSED', 'licence']);
    expect(report).not.toContain(folder);

    const bytes = files.map((file) => readFileSync(file, 'utf8'));
    expect(build()).toBe(report);
    expect(files.map((file) => readFileSync(file, 'utf8'))).toEqual(bytes);
  });
});
