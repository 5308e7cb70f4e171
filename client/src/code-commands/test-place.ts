/** Where tests for a piece of code go. */
export type TestPlace =
  /** Into the file itself: it is a file of tests. */
  | { readonly kind: 'more' }
  /** Into the file itself, below the code: the custom of the language. */
  | { readonly kind: 'below' }
  /** Into a document of its own. `name` is what the file is usually called; absent where there is no custom. */
  | { readonly kind: 'beside'; readonly name?: string };

/** Languages whose unit tests stand in the file of the code. */
const below: ReadonlySet<string> = new Set(['rust', 'zig', 'd']);

const testFile = /(^|[._-])(test|tests|spec)\.[a-z]+$|^test_.*\.py$|(Test|Tests|Spec)\.[a-z]+$/;

/** What the file of tests for `stem` is called, by the ending of the file. */
const names: Readonly<Record<string, (stem: string) => string>> = {
  ts: (stem) => `${stem}.test.ts`,
  tsx: (stem) => `${stem}.test.tsx`,
  mts: (stem) => `${stem}.test.mts`,
  js: (stem) => `${stem}.test.js`,
  jsx: (stem) => `${stem}.test.jsx`,
  mjs: (stem) => `${stem}.test.mjs`,
  py: (stem) => `test_${stem}.py`,
  go: (stem) => `${stem}_test.go`,
  rb: (stem) => `${stem}_spec.rb`,
  dart: (stem) => `${stem}_test.dart`,
  java: (stem) => `${stem}Test.java`,
  kt: (stem) => `${stem}Test.kt`,
  php: (stem) => `${stem}Test.php`,
  swift: (stem) => `${stem}Tests.swift`,
  cs: (stem) => `${stem}Tests.cs`,
};

/** @param fileName Last part of the document's path. @param language VS Code's name of its language */
export function testPlace(fileName: string, language: string): TestPlace {
  if (testFile.test(fileName)) return { kind: 'more' };
  if (below.has(language)) return { kind: 'below' };
  const dot = fileName.lastIndexOf('.');
  const nameOf = dot > 0 ? names[fileName.slice(dot + 1)] : undefined;
  return nameOf === undefined ? { kind: 'beside' } : { kind: 'beside', name: nameOf(fileName.slice(0, dot)) };
}
