import { copyFile, mkdtemp, open, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { HearthError } from '@hearth/protocol';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { ModelSource } from '../../models/model-source.js';
import { resolveModel } from '../../models/resolve-model.js';
import { writeTinyGguf } from '../../models/testing/tiny-gguf.js';
import { LlamaEngine } from './llama-engine.js';
import type { LlamaEngineOptions } from './llama-engine.js';
import { bundleTestWorker, rawRequest, reaches } from './testing.js';
import type { TestWorker } from './testing.js';

/** A model that guesses ahead changes how fast an answer comes, and not what it says. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let worker: TestWorker;
let folder: string;
let pilot: ModelSource;
/** The pilot with the last part of its weights gone: the same vocabulary, and other opinions. */
let lesser: ModelSource;
const engines: LlamaEngine[] = [];

beforeAll(async () => {
  worker = await bundleTestWorker();
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-draft-'));
  pilot = await resolveModel('pilot');
  const file = path.join(folder, 'lesser.gguf');
  await writeFile(file, await readFile(pilot.path));
  const { size } = await stat(file);
  const handle = await open(file, 'r+');
  await handle.write(Buffer.alloc(Math.floor(size / 4)), 0, Math.floor(size / 4), Math.ceil((size * 3) / 4));
  await handle.close();
  lesser = { id: 'lesser', displayName: 'lesser', path: file, sizeBytes: size };
});
afterEach(() => Promise.all(engines.splice(0).map((engine) => engine.stop())));
afterAll(async () => {
  await worker.dispose();
  await rm(folder, { recursive: true, force: true });
});

async function start(options: Partial<LlamaEngineOptions>): Promise<LlamaEngine> {
  const engine = new LlamaEngine({
    source: pilot,
    sequences: 2,
    workerPath: worker.path,
    driver: 'ffi',
    ...options,
  });
  engines.push(engine);
  engine.start();
  expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
  return engine;
}

async function answer(engine: LlamaEngine, prompt: string, sampling = {}) {
  let text = '';
  for await (const chunk of engine.generate(
    rawRequest(prompt, { maxTokens: 100, ...sampling }),
    new AbortController().signal,
  )) {
    if (chunk.kind === 'token') text += chunk.text;
    if (chunk.kind === 'done') return { text, usage: chunk.usage, timings: chunk.timings };
  }
  throw new Error('it did not end');
}

const prompts = ['function add(a, b) {', `const names = [\n${'  "a name",\n'.repeat(60)}`];

test.each([
  ['the model itself, which is always right', 'same'],
  ['a lesser one, which is often wrong', 'lesser'],
])('drafted by %s, texts are what they are without, one by one and two at a time', async (_, which) => {
  const plain = await start({});
  const drafted = await start({
    drafts: 'draft',
    draftModel: which === 'same' ? { ...pilot, displayName: 'same' } : lesser,
  });
  expect(drafted.model?.draft).toEqual({ name: which });
  const expected = [];
  for (const prompt of prompts) expected.push(await answer(plain, prompt));
  const found = [];
  for (const prompt of prompts) found.push(await answer(drafted, prompt));
  expect(found.map(({ text }) => text)).toEqual(expected.map(({ text }) => text));
  expect(found.map(({ usage }) => usage)).toEqual(expected.map(({ usage }) => usage));
  const [first] = found;
  expect(first?.timings?.draftTokens).toBeGreaterThan(0);
  if (which === 'same') expect(first?.timings?.draftAccepted).toBe(first?.timings?.draftTokens);
  else expect(first?.timings?.draftAccepted).toBeLessThan(first?.timings?.draftTokens ?? 0);
  const together = await Promise.all(prompts.map((prompt) => answer(drafted, prompt)));
  expect(together.map(({ text }) => text)).toEqual(expected.map(({ text }) => text));
});

test('a draft model of another vocabulary is not used, and that is said', async () => {
  const file = path.join(folder, 'tiny.gguf');
  await writeTinyGguf(file);
  const draftModel = { id: 'tiny', displayName: 'tiny', path: file, sizeBytes: (await stat(file)).size };
  const engine = await start({ drafts: 'draft', draftModel });
  expect(engine.model?.draft).toHaveProperty('problem', expect.stringMatching(/vocabulary|could not load/u));
  const { text, timings } = await answer(engine, prompts[0] ?? '');
  expect([text === '', timings?.draftTokens]).toEqual([false, undefined]);
});

test('a draft model that is not there keeps the model from nothing', async () => {
  const engine = await start({
    drafts: 'draft',
    draftModel: { ...lesser, path: path.join(folder, 'gone.gguf') },
  });
  expect(engine.model?.draft).toHaveProperty('problem', expect.any(String));
  expect((await answer(engine, prompts[0] ?? '')).text).not.toBe('');
});

test('a draft model that changes while it is loaded is left, and the model is served without it', async () => {
  const file = path.join(folder, 'changing.gguf');
  await copyFile(lesser.path, file);
  let isFirst = true;
  const engine = await start({
    drafts: 'draft',
    draftModel: { ...lesser, path: file },
    // It is open by now.
    planLoad: async () => {
      if (isFirst) await utimes(file, 1, 1);
      isFirst = false;
      return { contextSize: 512, gpuLayers: 0 };
    },
  });
  expect(engine.model?.draft).toHaveProperty('problem', expect.stringContaining('changed'));
  expect((await answer(engine, prompts[0] ?? '')).text).not.toBe('');
});

test('a draft model is in use as long as its model is, and with the other driver it is not even opened', async () => {
  const used = new Set<string>();
  const claim = async ({ id }: ModelSource) => {
    used.add(id);
    return { release: () => void used.delete(id) };
  };
  const engine = await start({ drafts: 'draft', draftModel: lesser, claim });
  expect([...used].toSorted()).toEqual(['lesser', pilot.id].toSorted());
  await engine.stop();
  expect([...used]).toEqual([]);
  const seen: unknown[] = [];
  const other = await start({
    drafts: 'draft',
    draftModel: lesser,
    driver: 'addon',
    planLoad: async (_facts, _device, draft) => {
      seen.push(draft);
      return { contextSize: 512, gpuLayers: 0 };
    },
  });
  expect(seen).toEqual([undefined]);
  expect(other.model?.draft).toHaveProperty('problem', expect.stringContaining('node-llama-cpp'));
});

test('a draft model that is being removed is said to be', async () => {
  const claim = async ({ id }: ModelSource) => {
    if (id === 'lesser') throw new HearthError('model_not_found', 'The model is being removed.');
    return { release: () => undefined };
  };
  const engine = await start({ drafts: 'draft', draftModel: lesser, claim });
  expect(engine.model?.draft).toEqual({ problem: 'The model is being removed.' });
});
