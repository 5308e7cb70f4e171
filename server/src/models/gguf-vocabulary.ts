import { corrupt } from './gguf-values.js';

/**
 * The lists of a vocabulary. Releases of llama.cpp take them for what their names say: they read as many scores and types
 * as there are tokens, of four bytes each, however long and of whatever type the lists in the file are.
 */

/** A list of which nothing was kept. */
export interface SkippedList {
  /** GGUF's number of the type. */
  readonly elementType: number;
  readonly count: number;
  /** Bytes of the longest text in it; 0: it holds none. */
  readonly longest: number;
}

export const tokensKey = 'tokenizer.ggml.tokens';

/** Types of elements by GGUF's numbers, and whether there has to be one for each token. */
const lists: Readonly<Record<string, { readonly types: readonly number[]; readonly perToken: boolean }>> = {
  [tokensKey]: { types: [8], perToken: false },
  'tokenizer.ggml.merges': { types: [8], perToken: false },
  'tokenizer.ggml.scores': { types: [6], perToken: true },
  'tokenizer.ggml.token_type': { types: [4, 5], perToken: true },
  'tokenizer.ggml.precompiled_charsmap': { types: [0, 1], perToken: false },
};

export function isVocabularyList(key: string): boolean {
  return Object.hasOwn(lists, key);
}

/** @throws ModelFileError `corrupt` where native code would read beyond a list, or take it for another one */
export function checkVocabulary(found: ReadonlyMap<string, SkippedList>): void {
  const tokens = found.get(tokensKey)?.count ?? 0;
  for (const [key, { elementType, count }] of found) {
    const rule = lists[key];
    if (rule?.types.includes(elementType) !== true)
      throw corrupt('a list of the vocabulary is of another type');
    if (rule.perToken && count < tokens) throw corrupt('a list is shorter than the vocabulary');
  }
}
