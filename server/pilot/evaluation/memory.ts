import type { Document } from '../corpus/document.js';
import { shortHash } from '../corpus/duplicates.js';

/** Words and signs, the same for any layout. */
export function wordsOf(text: string): readonly string[] {
  return text.match(/\w+|[^\s\w]/g) ?? [];
}

/**
 * Every run of `length` words and signs in the texts, by hash. A run that stands in texts of more than one package is
 * boilerplate, and is not among them.
 */
export function runsOf(documents: Iterable<Document>, length: number): ReadonlySet<string> {
  const owner = new Map<string, string>();
  const shared = new Set<string>();
  for (const document of documents) {
    const words = wordsOf(document.text);
    for (let at = 0; at + length <= words.length; at += 1) {
      const key = shortHash(words.slice(at, at + length).join(' '));
      const first = owner.get(key);
      if (first === undefined) owner.set(key, document.package);
      else if (first !== document.package) shared.add(key);
    }
  }
  for (const key of shared) owner.delete(key);
  return new Set(owner.keys());
}

/** Whether a text holds one of the runs. */
export function repeats(text: string, runs: ReadonlySet<string>, length: number): boolean {
  const words = wordsOf(text);
  for (let at = 0; at + length <= words.length; at += 1) {
    if (runs.has(shortHash(words.slice(at, at + length).join(' ')))) return true;
  }
  return false;
}

/** Whether a text is of the kind that stands at the top of files: a copyright or the text of a licence. */
export function isLicenceText(text: string): boolean {
  return /copyright \(?c|©|permission is hereby granted|licensed under the|spdx-license-identifier/i.test(
    text,
  );
}
