import { type Document, type Language } from './document.js';
import { overlap, shortHash, significantLines } from './duplicates.js';

/**
 * Packages that no training ever sees, whole: version 0's, so that the two can be compared, and some that came after
 * it. Names, not a draw: few packages ship TypeScript sources, and a dependency more must not move the split.
 */
export const heldOutPackages: ReadonlySet<string> = new Set([
  '@coder/logger',
  '@xterm/addon-search',
  'basic-ftp',
  'lifecycle-utils',
  'limiter',
  'path-to-regexp',
  'source-map',
  'python:dbm',
  'python:graphlib',
  'python:selectors',
  'python:uuid',
  'comment-parser',
  'eventsource',
  'eventsource-parser',
  'htmlparser2',
  'ollama',
]);

/** A held-out file that shares more than this with the training text (by weight of its lines) measures memory. */
export const maxOverlap = 0.3;

/** Declarations are many and alike: at most this share of the bytes of TypeScript and JavaScript. */
const maxDeclarationShare = 0.1;

export interface Split {
  readonly train: readonly Document[];
  readonly heldOut: readonly Document[];
  /** Held-out files dropped, because the training text holds too much of them. */
  readonly dropped: number;
}

/** Divides documents into those to learn from and those to measure on: by package, never by file. */
export function split(
  documents: readonly Document[],
  heldOutNames: ReadonlySet<string> = heldOutPackages,
): Split {
  const train = withFewDeclarations(documents.filter((document) => !heldOutNames.has(document.package)));
  const known = new Set(train.flatMap(({ text }) => significantLines(text).map(({ hash }) => hash)));
  const candidates = documents.filter((document) => heldOutNames.has(document.package));
  const heldOut = candidates.filter(({ text }) => overlap(significantLines(text), known) <= maxOverlap);
  return { train, heldOut, dropped: candidates.length - heldOut.length };
}

/** Drops declaration files, chosen by a hash of their names, until their share is bounded. */
function withFewDeclarations(documents: readonly Document[]): readonly Document[] {
  const size = (language: Language): number =>
    documents.reduce((sum, document) => sum + (document.language === language ? document.text.length : 0), 0);
  let room = ((size('ts') + size('js')) * maxDeclarationShare) / (1 - maxDeclarationShare);
  const byHash = documents
    .filter(({ language }) => language === 'dts')
    .map((document) => ({ document, key: shortHash(`${document.package}/${document.path}`) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  const chosen = new Set<Document>();
  for (const { document } of byHash) {
    if (document.text.length > room) continue;
    room -= document.text.length;
    chosen.add(document);
  }
  return documents.filter((document) => document.language !== 'dts' || chosen.has(document));
}
