import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { ModelSource } from '../../models/model-source.js';
import { makeTinyGguf, makeTinyParts } from '../../models/testing/tiny-gguf.js';
import { LlamaEngine } from './llama-engine.js';
import { bundleTestWorker, collect, rawRequest, reaches } from './testing.js';
import type { TestWorker } from './testing.js';

/** A model in several files writes what it writes in one, from the store and by its path. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let worker: TestWorker;
let folder: string;

beforeAll(async () => {
  worker = await bundleTestWorker();
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-split-load-'));
});
afterAll(async () => {
  await worker.dispose();
  await rm(folder, { recursive: true, force: true });
});

const privateDirectory = () => path.join(folder, 'private');

async function write(name: string, bytes: Buffer): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, bytes);
  return file;
}

async function answer(file: Pick<ModelSource, 'path' | 'parts'>, driver: 'ffi' | 'addon'): Promise<string> {
  const source = { id: 'm', displayName: 'm', sizeBytes: 1, ...file };
  const engine = new LlamaEngine({
    source,
    sequences: 1,
    workerPath: worker.path,
    driver,
    privateDirectory: privateDirectory(),
  });
  try {
    engine.start();
    expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
    const { text } = await collect(engine.generate(rawRequest('split'), new AbortController().signal));
    return text;
  } finally {
    await engine.stop();
  }
}

test.each(['ffi', 'addon'] as const)('through %s', async (driver) => {
  const whole = await answer({ path: await write('whole.gguf', makeTinyGguf()) }, driver);
  const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = makeTinyParts(2);
  const named = await write('m-00001-of-00002.gguf', first);
  await write('m-00002-of-00002.gguf', second);
  expect(await answer({ path: named }, driver)).toBe(whole);
  const blobs = [await write('blob-a', first), await write('blob-b', second)];
  const parts = blobs.map((file) => ({ path: file }));
  expect(await answer({ path: blobs[0] ?? '', parts }, driver)).toBe(whole);
  // The links were there for the load alone.
  expect(await readdir(privateDirectory())).toEqual([]);
});
