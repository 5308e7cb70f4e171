import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { KeyValueType } from '../../models/memory/key-value-type.js';
import { writeSyntheticModel } from '../../models/synthetic/synthetic-model.js';
import { LlamaEngine } from './llama-engine.js';
import { bundleTestWorker, collect, rawRequest, reaches } from './testing.js';
import type { TestWorker } from './testing.js';

/** A context in q8_0 works with both drivers, and takes the memory that it is said to take. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/** So long that a context of half floats weighs 134 MB. */
const contextSize = 131_072;

let worker: TestWorker;
let folder: string;
let file: string;
let sizeBytes: number;

beforeAll(async () => {
  worker = await bundleTestWorker();
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-kv-'));
  file = path.join(folder, 'made-up.gguf');
  sizeBytes = await writeSyntheticModel(file, {
    width: 128,
    layers: 2,
    heads: 2,
    keyValueHeads: 2,
    feedForward: 128,
    vocabulary: 512,
    contextLength: contextSize,
  });
});
afterAll(async () => {
  await worker.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** Has a worker with such a context write something; gives its resident bytes, 0 where there is no /proc. */
async function use(keyValueType: KeyValueType, driver: 'ffi' | 'addon'): Promise<number> {
  const engine = new LlamaEngine({
    source: { id: 'made-up', displayName: 'made-up', path: file, sizeBytes, threads: 1 },
    sequences: 1,
    workerPath: worker.path,
    driver,
    planLoad: async () => ({ contextSize, gpuLayers: 0, keyValueType }),
  });
  try {
    engine.start();
    expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
    expect(engine.model).toMatchObject({ driver });
    const { usage } = await collect(engine.generate(rawRequest('abc'), new AbortController().signal));
    expect(usage.completion_tokens).toBeGreaterThan(0);
    const status = await readFile(`/proc/${String(engine.workerPid)}/status`, 'utf8').catch(() => '');
    return Number(/^VmRSS:\s+(\d+)/mu.exec(status)?.[1] ?? 0) * 1024;
  } finally {
    await engine.stop();
  }
}

test.each(['ffi', 'addon'] as const)('with the driver %s', async (driver) => {
  const [half, bytes] = [await use('f16', driver), await use('q8_0', driver)];
  if (process.platform !== 'linux') return;
  // 134 MB against 71 MB.
  expect(half - bytes).toBeGreaterThan(30_000_000);
});
