import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { resolveModel } from '../../models/resolve-model.js';
import type { ChosenDevice } from './device-choice.js';
import { testGpu } from './gpu-self-test.js';
import { LlamaEngine } from './llama-engine.js';
import { bundleTestWorker, collect, rawRequest, reaches } from './testing.js';
import type { TestWorker } from './testing.js';
import { cpuVariantIn, missingLibrary } from './worker/ffi/devices.js';

/** A card that does not work costs a child process and a reason, whatever is wrong with it. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let worker: TestWorker;
let folder: string;

beforeAll(async () => {
  worker = await bundleTestWorker();
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-gpu-'));
});
afterAll(async () => {
  await worker.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** A build of the right layout whose libraries are none. */
async function makeBrokenBuild(): Promise<string> {
  const place = path.join(folder, 'linux-x64-vulkan');
  await mkdir(place, { recursive: true });
  const files = [
    'libggml-base.so',
    'libggml.vulkan.v0.4.0.so',
    'libllama.vulkan.v0.4.0.so',
    'llama-addon.node',
  ];
  for (const name of files) await writeFile(path.join(place, name), 'no library');
  const metadata = { buildOptions: { gpu: 'vulkan', llamaCpp: { release: 'v0.4.0' } } };
  await writeFile(path.join(place, '_nlcBuildMetadata.json'), JSON.stringify(metadata));
  return place;
}

test('given a build that cannot be loaded, then its self-test says so and names no path', async () => {
  const { path: modelPath } = await resolveModel('pilot');
  const gpu = { kind: 'vulkan', folder: await makeBrokenBuild() } as const;
  const { signal } = new AbortController();
  const result = await testGpu({ gpu, modelPath, workerPath: worker.path, signal });
  expect(result).toEqual({ works: false, reason: 'The build for Vulkan does not work on this machine.' });
});

test('given a card on which the load fails, then the model is served by the processor, with the reason', async () => {
  const device: ChosenDevice = {
    kind: 'vulkan',
    folder: await makeBrokenBuild(),
    name: 'Card',
    totalBytes: 8e9,
    freeBytes: 8e9,
  };
  const engine = new LlamaEngine({
    source: await resolveModel('pilot'),
    sequences: 1,
    workerPath: worker.path,
    chooseDevice: async () => device,
  });
  try {
    const accelerators = new Set<string>();
    engine.events.on('state', () => accelerators.add(engine.accelerator));
    engine.start();
    expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
    expect([...accelerators]).toContain('vulkan');
    expect(engine).toMatchObject({ accelerator: 'cpu', gpuLayers: 0, device: undefined });
    expect(engine.model?.accelerator).toMatchObject({
      kind: 'cpu',
      reason: expect.stringMatching(/^Vulkan: the model could not be loaded there: The build/u) as string,
    });
    // The C interface says which of the builds for processors it took.
    expect(engine.model).toMatchObject({ driver: 'ffi' });
    expect(engine.model?.accelerator?.cpuVariant).toMatch(/^\w+$/u);
    const { text } = await collect(engine.generate(rawRequest('let a ='), new AbortController().signal));
    expect(text).not.toBe('');
  } finally {
    await engine.stop();
  }
});

test('given a card without room for a layer, then the processor computes and says so', async () => {
  const engine = new LlamaEngine({
    source: await resolveModel('pilot'),
    sequences: 1,
    workerPath: worker.path,
    chooseDevice: async () => ({ kind: 'cuda', name: 'Card', totalBytes: 1, freeBytes: 1 }),
    planLoad: async () => ({ contextSize: 512, gpuLayers: 0 }),
  });
  try {
    engine.start();
    expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
    expect(engine.model).toMatchObject({
      contextSize: 512,
      accelerator: { kind: 'cpu', reason: 'CUDA: Card has no room for any layer of this model.' },
    });
  } finally {
    await engine.stop();
  }
});

test('what the logs and the loader say is read without paths', () => {
  const line = 'load_backend: loaded CPU backend from /home/x/bins/libggml-cpu-zen4.so\n';
  expect(cpuVariantIn(['load_backend: loaded RPC backend', line])).toBe('zen4');
  expect(cpuVariantIn(['nothing'])).toBeUndefined();
  expect(missingLibrary('Failed: libvulkan.so.1: cannot open shared object file: No such file')).toBe(
    'libvulkan.so.1',
  );
  expect(missingLibrary('/home/x/lib.so: cannot open shared object file')).toBeUndefined();
});
