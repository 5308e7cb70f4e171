/** What a document is written in. `dts` is a TypeScript declaration file: many, alike, and so kept apart. */
export const languages = ['ts', 'js', 'dts', 'py', 'json', 'md'] as const;
export type Language = (typeof languages)[number];

/** Where a document came from: a package of one version under one licence. */
export interface Origin {
  /** An npm package's name, or `python:` and a top-level module of Python's standard library. */
  readonly package: string;
  readonly version: string;
  /** The licence expression that the package states. */
  readonly licence: string;
}

/** One source file, cleaned. */
export interface Document extends Origin {
  readonly language: Language;
  /** The path inside the package, with `/`. */
  readonly path: string;
  readonly text: string;
}

const extensions: Readonly<Record<string, Language>> = {
  ts: 'ts',
  tsx: 'ts',
  mts: 'ts',
  cts: 'ts',
  js: 'js',
  jsx: 'js',
  mjs: 'js',
  cjs: 'js',
  py: 'py',
  json: 'json',
  md: 'md',
};

/** The language of a file by its name; undefined for one that the corpus has no use for. */
export function languageOf(path: string): Language | undefined {
  if (/\.d\.(?:[\w-]+\.)?[mc]?ts$/i.test(path)) return 'dts';
  return extensions[/\.([a-z]+)$/i.exec(path)?.[1]?.toLowerCase() ?? ''];
}

/**
 * Which of two copies of the same code is kept: sources before what was compiled from them, modules before CommonJS.
 * Lower is better.
 */
export function preference({ language, path }: Pick<Document, 'language' | 'path'>): number {
  if (language === 'ts' || language === 'py') return 0;
  if (language === 'md' || language === 'json') return 4;
  if (language === 'dts') return 5;
  if (path.endsWith('.mjs')) return 1;
  return path.endsWith('.cjs') ? 3 : 2;
}
