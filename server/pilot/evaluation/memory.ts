import type { Document } from '../corpus/document.js';

/** Words and signs, the same for any layout. */
export function wordsOf(text: string): readonly string[] {
  return text.match(/\w+|[^\s\w]/g) ?? [];
}

/** A run of words of an answer, and the packages whose texts hold it. */
interface Run {
  readonly text: string;
  readonly packages: Set<string>;
}

/**
 * How many answers hold a run of `length` words and signs that stands in the texts of exactly one package: what
 * several have is boilerplate.
 *
 * The texts are gone through once, with a hash that rolls along, so that this takes seconds and hardly any memory.
 */
export function copiedAnswers(
  answers: readonly string[],
  documents: Iterable<Document>,
  length: number,
): number {
  const hashes = new Map<string, number>();
  const runs = new Map<number, Run[]>();
  const ofAnswers = answers.map((answer) => {
    const words = wordsOf(answer);
    return [...rolling(words, length, hashes)].map(({ at, hash }) => {
      const text = words.slice(at, at + length).join(' ');
      const alike = runs.get(hash) ?? [];
      const run = alike.find((one) => one.text === text) ?? { text, packages: new Set() };
      if (!alike.includes(run)) runs.set(hash, [...alike, run]);
      return run;
    });
  });
  if (runs.size === 0) return 0;
  for (const document of documents) {
    const words = wordsOf(document.text);
    for (const { at, hash } of rolling(words, length, hashes)) {
      const alike = runs.get(hash);
      if (alike === undefined) continue;
      const text = words.slice(at, at + length).join(' ');
      alike.find((one) => one.text === text)?.packages.add(document.package);
    }
  }
  return ofAnswers.filter((some) => some.some(({ packages }) => packages.size === 1)).length;
}

/** Odd, so that no word's share of the hash vanishes. */
const base = 0x01000193;

/** The hash of each run of `length` words: a polynomial modulo 2³². */
function* rolling(
  words: readonly string[],
  length: number,
  hashes: Map<string, number>,
): Generator<{ readonly at: number; readonly hash: number }> {
  let highest = 1;
  for (let power = 1; power < length; power += 1) highest = Math.imul(highest, base);
  const numbers = words.map((word) => hashOf(word, hashes));
  let hash = 0;
  for (const [index, number] of numbers.entries()) {
    const left = index - length;
    if (left >= 0) hash = (hash - Math.imul(numbers[left] ?? 0, highest)) | 0;
    hash = (Math.imul(hash, base) + number) | 0;
    if (left >= -1) yield { at: left + 1, hash };
  }
}

/** FNV-1a, remembered for each word. */
function hashOf(word: string, hashes: Map<string, number>): number {
  const known = hashes.get(word);
  if (known !== undefined) return known;
  let hash = 0x811c9dc5;
  for (let at = 0; at < word.length; at += 1) hash = Math.imul(hash ^ word.charCodeAt(at), base);
  // Source is without end; words are remembered while there is room.
  if (hashes.size < 1_000_000) hashes.set(word, hash);
  return hash;
}

/** Whether a text is of the kind that stands at the top of files: a copyright or the text of a licence. */
export function isLicenceText(text: string): boolean {
  return /copyright \(?c|©|permission is hereby granted|licensed under the|spdx-license-identifier/i.test(
    text,
  );
}
