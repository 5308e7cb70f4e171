import { expect, test } from 'vitest';
import { parsePullSource } from '../pull/pull-source.js';
import { readCatalogue } from './catalogue.js';
import { recommend } from './recommend.js';

const gigabyte = 1e9;

test('the catalogue has each kind, unique names, and sources that can be pulled', async () => {
  const catalogue = await readCatalogue();
  expect(new Set(catalogue.map(({ kind }) => kind))).toEqual(new Set(['fim', 'chat', 'embed', 'rerank']));
  expect(new Set(catalogue.map(({ name }) => name)).size).toBe(catalogue.length);
  for (const { source } of catalogue) expect(parsePullSource(source).isHuggingFace).toBe(true);
  // None has been fetched to write the list, so none may claim a hash.
  expect(catalogue.map(({ sha256 }) => sha256).every((sha256) => sha256 === null)).toBe(true);
});

test('the largest that fits and is fast enough is the best of its kind', async () => {
  const catalogue = await readCatalogue();
  const best = (bytesPerSecond: number, freeBytes: number): readonly string[] =>
    recommend(catalogue, { bytesPerSecond, freeBytes }, 8192)
      .filter(({ isBest }) => isBest)
      .map(({ entry }) => entry.name);
  expect(best(12 * gigabyte, 6 * gigabyte)).toEqual([
    'qwen2.5-coder-0.5b',
    'qwen3-0.6b',
    'qwen3-embedding-0.6b',
    'bge-reranker-v2-m3',
  ]);
  expect(best(400 * gigabyte, 64 * gigabyte)).toEqual(
    expect.arrayContaining(['qwen3-coder-30b', 'gpt-oss-20b']),
  );
  // Nothing is fast enough here: the fastest is better than none.
  expect(best(1 * gigabyte, 6 * gigabyte)).toEqual(
    expect.arrayContaining(['qwen2.5-coder-0.5b', 'smollm2-360m']),
  );
  expect(best(12 * gigabyte, 0.1 * gigabyte)).toEqual([]);
});

test('what a model takes grows with its context', async () => {
  const catalogue = await readCatalogue();
  const machine = { bytesPerSecond: gigabyte, freeBytes: gigabyte };
  const memory = (tokens: number): number =>
    recommend(catalogue, machine, tokens).find(({ entry }) => entry.name === 'qwen3-4b')?.memoryBytes ?? 0;
  expect(memory(16_384) - memory(8192)).toBe(8192 * 147_456);
});
