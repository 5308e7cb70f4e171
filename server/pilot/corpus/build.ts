import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { type Collected, collectPackages, collectPython } from './collect.js';
import { type Document, languages, preference } from './document.js';
import { deduplicate } from './duplicates.js';
import { instructionsFrom } from './instructions.js';
import { corpusReport } from './report.js';
import { heldOutPackages, split } from './split.js';

/** Where the corpus comes from. Places that do not exist count as empty. */
export interface Sources {
  /** Absolute paths of `node_modules` directories. */
  readonly packages: readonly string[];
  /** Absolute paths of Python standard libraries. */
  readonly python: readonly string[];
  /** Names of the packages that are read; undefined: all. */
  readonly only?: ReadonlySet<string>;
}

/** The sources on this machine, for a checkout at `root`: see CORPUS.md. */
export function installedSources(root: string, nodeBinary: string): Sources {
  const editor = path.join(root, '.vscode-test');
  const editors = directoriesOf(editor).filter((name) => /^code-server-/.test(name));
  const python = directoriesOf('/usr/lib').filter((name) => /^python3\.\d+$/.test(name));
  return {
    packages: [
      path.join(root, 'node_modules'),
      ...editors.map((name) => path.join(editor, name, 'node_modules')),
      path.resolve(nodeBinary, '../../lib/node_modules'),
    ],
    python: python.map((name) => path.join('/usr/lib', name)),
  };
}

/** A few packages that Hearth always has, two of them held out: enough for a shortened run. */
export function fewSources(root: string): Sources {
  const only = new Set(['smol-toml', 'undici', 'eventsource', 'eventsource-parser']);
  return { packages: [path.join(root, 'node_modules')], python: [], only };
}

/**
 * Builds the corpus: `train.jsonl`, `heldout.jsonl` (a document a line) and `instructions.jsonl` in a directory of
 * data, and CORPUS.md. The same sources give the same bytes.
 *
 * @returns CORPUS.md's text
 */
export function buildCorpus(
  sources: Sources,
  directory: string,
  say: (line: string) => void,
  heldOutNames: ReadonlySet<string> = heldOutPackages,
): string {
  const all: Collected[] = [];
  for (const root of sources.packages) all.push(collectPackages(root, sources.only));
  for (const root of sources.python) all.push(collectPython(root));
  const found = all.flatMap(({ documents }) => documents).sort(inOrder);
  say(`${found.length} files read`);
  const { kept, exact, near } = deduplicate(found);
  say(`${kept.length} left without ${exact} exact and ${near} near duplicates`);
  const { train, heldOut, dropped } = split(kept, heldOutNames);
  const instructions = train.flatMap((document) => instructionsFrom(document));
  say(`${train.length} to learn from, ${heldOut.length} held out, ${instructions.length} instructions`);
  mkdirSync(directory, { recursive: true });
  writeLines(path.join(directory, 'train.jsonl'), train);
  writeLines(path.join(directory, 'heldout.jsonl'), heldOut);
  writeLines(path.join(directory, 'instructions.jsonl'), instructions);
  return corpusReport({
    train,
    heldOut,
    dropped,
    exactDuplicates: exact,
    nearDuplicates: near,
    instructions: instructions.length,
    refused: all.flatMap(({ refused }) => refused),
  });
}

/** Best copies first, then by package, path and version: an order that no file system can change. */
function inOrder(a: Document, b: Document): number {
  return (
    preference(a) - preference(b) ||
    compare(a.package, b.package) ||
    compare(a.path, b.path) ||
    compare(a.version, b.version)
  );
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function writeLines(file: string, rows: readonly unknown[]): void {
  writeFileSync(`${file}.part`, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  renameSync(`${file}.part`, file);
}

function directoriesOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

const documentSchema: z.ZodType<Document> = z.object({
  package: z.string(),
  version: z.string(),
  licence: z.string(),
  language: z.enum(languages),
  path: z.string(),
  text: z.string(),
});

/** Documents that {@link buildCorpus} wrote. @throws Error where a line is none */
export function readDocuments(file: string): readonly Document[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => documentSchema.parse(JSON.parse(line)));
}
