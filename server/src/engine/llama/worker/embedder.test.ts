import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { writeTinyGguf } from '../../../models/testing/tiny-gguf.js';
import type { Driver } from './driver.js';
import { loadDriver } from './load-driver.js';
import type { DriverName } from './messages.js';

/** Vectors of texts, on both drivers. Loaded in this process: nothing here is hostile. */

vi.setConfig({ testTimeout: 120_000 });

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-embed-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function load(driver: DriverName, pooling?: number): Promise<Driver> {
  const file = path.join(folder, `${driver}-${pooling ?? 'none'}.gguf`);
  await writeTinyGguf(file, { ...(pooling === undefined ? {} : { pooling }), contextLength: 256 });
  const order = { path: file, sequences: 1, contextSize: 256, threads: 1, longestTokenBytes: 0, driver };
  const loaded = await loadDriver(order, () => undefined);
  return loaded.driver;
}

async function vectorOf({ embedder }: Driver, text: string): Promise<readonly number[]> {
  if (embedder === undefined) throw new Error('it has no embedder');
  return Array.from(await embedder.embed(embedder.tokenize(text)));
}

describe.each([
  [1, 'mean'],
  [2, 'first'],
  [3, 'last'],
] as const)('a model whose pooling is %i', (pooling, name) => {
  test('gives equal vectors through both drivers, other ones for other texts, and does not write', async () => {
    const ffi = await load('ffi', pooling);
    const addon = await load('addon', pooling);
    expect(ffi.embedder?.info).toMatchObject({ only: true, gives: 'vectors', dimensions: 64, pooling: name });
    expect(addon.embedder?.info).toEqual(ffi.embedder?.info);
    const texts = ['one text', 'one text', 'and another, longer one'];
    const vectors = await Promise.all(texts.map((text) => vectorOf(ffi, text)));
    const others = await Promise.all(texts.map((text) => vectorOf(addon, text)));
    expect(vectors[0]).toHaveLength(64);
    expect(vectors[1]).toEqual(vectors[0]);
    expect(vectors[2]).not.toEqual(vectors[0]);
    for (const [index, vector] of vectors.entries()) {
      for (const [place, number] of vector.entries())
        expect(number).toBeCloseTo(others[index]?.[place] ?? NaN, 3);
    }
    await expect(ffi.embedder?.score('a', 'b')).rejects.toMatchObject({ kind: 'unsupported' });
  });
});

test('a model that writes gives the vector of the last token too, and refuses what does not fit', async () => {
  const driver = await load('ffi');
  expect(driver.embedder?.info).toMatchObject({ only: false, pooling: 'last' });
  expect(await vectorOf(driver, 'abc')).toHaveLength(64);
  await expect(driver.embedder?.embed([])).rejects.toMatchObject({ kind: 'invalid_request' });
  await expect(driver.embedder?.embed(Array<number>(257).fill(1))).rejects.toMatchObject({
    kind: 'invalid_request',
  });
  // After a refusal it still works, and so does decoding beside it.
  expect(await vectorOf(driver, 'abc')).toHaveLength(64);
});
