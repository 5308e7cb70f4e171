import { createHash } from 'node:crypto';
import type { EmbedInput, Embeddings, Scores } from '../encoding.js';
import { toUnitVector } from '../unit-vector.js';
import { EngineFailure } from '../engine.js';

/** Vectors and scores without a model: stable, and as near to each other as their words are. */

const dimensions = 8;

/** Vectors of eight numbers: the sum of what each word stands for. */
export function mockEmbeddings({ texts, dimensions: wanted = dimensions }: EmbedInput): Embeddings {
  if (wanted > dimensions) {
    throw new EngineFailure('invalid_request', `dimensions: this model gives ${String(dimensions)}`);
  }
  const vectors = texts.map((text) => {
    const sum = new Float32Array(dimensions);
    for (const word of wordsOf(text)) {
      const hash = createHash('sha256').update(word).digest();
      for (const index of sum.keys()) sum[index] = (sum[index] ?? 0) + (hash[index] ?? 0) / 128 - 1;
    }
    return toUnitVector(sum, wanted);
  });
  return { vectors, inputTokens: countWords(texts) };
}

/** How many words of the query each document has. */
export function mockScores(query: string, documents: readonly string[]): Scores {
  const wanted = new Set(wordsOf(query));
  const scores = documents.map((document) => {
    const words = new Set(wordsOf(document));
    return [...wanted].filter((word) => words.has(word)).length;
  });
  return { scores, inputTokens: countWords([query, ...documents]) };
}

function wordsOf(text: string): readonly string[] {
  return text
    .toLowerCase()
    .split(/\s+/u)
    .filter((word) => word !== '');
}

function countWords(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + wordsOf(text).length, 0);
}
