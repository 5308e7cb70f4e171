import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { ResolvedGeneration } from '@hearth/protocol';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import type { ModelSource } from '../../models/model-source.js';
import { resolveModel } from '../../models/resolve-model.js';
import { writeTinyGguf } from '../../models/testing/tiny-gguf.js';
import { LlamaEngine } from './llama-engine.js';
import type { LlamaEngineOptions } from './llama-engine.js';
import { bundleTestWorker, collect, rawRequest, reaches } from './testing.js';
import type { Collected, TestWorker } from './testing.js';

/** What was evaluated once is not evaluated again: counted in tokens, and with the same text as without. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let worker: TestWorker;
let folder: string;
let source: ModelSource;
const engines: LlamaEngine[] = [];
const never = new AbortController().signal;

beforeAll(async () => {
  worker = await bundleTestWorker();
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-reuse-'));
  const file = path.join(folder, 'tiny.gguf');
  await writeTinyGguf(file, { contextLength: 4096 });
  source = await resolveModel(file);
});
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
});
afterAll(async () => {
  await worker.dispose();
  await rm(folder, { recursive: true, force: true });
});

async function start(options: Partial<LlamaEngineOptions> = {}): Promise<LlamaEngine> {
  const engine = new LlamaEngine({
    source,
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

const run = (engine: LlamaEngine, prompt: string, scope?: string): Promise<Collected> => {
  const request: ResolvedGeneration = { ...rawRequest(prompt, { maxTokens: 8 }), cacheScope: scope };
  return collect(engine.generate(request, never));
};

/** One digit is one token. */
const digits = (seed: number, length: number): string =>
  Array.from({ length }, (_, index) => String((seed * 7 + index * index * 3 + index * seed) % 10)).join('');

/** The texts of `prompts` on an engine that has seen nothing. */
async function cold(prompt: string): Promise<string> {
  const engine = await start({ stateMemoryBytes: 0 });
  const { text, usage } = await run(engine, prompt);
  expect(usage.cached_tokens).toBe(0);
  return text;
}

test('four conversations on two sequences: each goes on where it was, from memory', async () => {
  const engine = await start();
  const begins = [1, 2, 3, 4].map((seed) => `${String(seed)}${digits(seed, 300)}`);
  for (const begin of begins) expect((await run(engine, begin)).usage.cached_tokens).toBe(0);
  for (const begin of begins) {
    const { usage } = await run(engine, `${begin}55`);
    expect(usage.cached_tokens).toBeGreaterThanOrEqual(begin.length - 1);
  }
  const again = `${begins[0] ?? ''}5566`;
  expect((await run(engine, again)).text).toBe(await cold(again));
});

test('without memory for states, a third conversation costs the oldest its state', async () => {
  const engine = await start({ stateMemoryBytes: 0 });
  const begins = [1, 2, 3].map((seed) => `${String(seed)}${digits(seed, 300)}`);
  for (const begin of begins) await run(engine, begin);
  expect((await run(engine, begins[0] ?? '')).usage.cached_tokens).toBe(0);
});

test('a begin that a busy sequence holds is copied from it, and the text is that of a cold run', async () => {
  const engine = await start();
  const shared = digits(5, 600);
  const busy = engine.generate(rawRequest(`${shared}111`, { maxTokens: 400 }), never)[Symbol.asyncIterator]();
  await busy.next();
  const { text, usage } = await run(engine, `${shared}222`);
  expect(usage.cached_tokens).toBe(600);
  await busy.return();
  expect(text).toBe(await cold(`${shared}222`));
});

test('prompts that begin alike and come together are evaluated once', async () => {
  const engine = await start();
  const shared = digits(6, 900);
  const both = await Promise.all(['333', '444'].map((end) => run(engine, shared + end)));
  // They take turns, and each takes over what the other has evaluated.
  const cached = both.reduce((sum, { usage }) => sum + (usage.cached_tokens ?? 0), 0);
  expect(cached).toBeGreaterThanOrEqual(800);
  expect(both[0]?.text).toBe(await cold(`${shared}333`));
});

test('cache_scope: one client neither serves another nor is served by it', async () => {
  const engine = await start({ sequences: 3 });
  const prompt = digits(7, 400);
  expect((await run(engine, prompt, 'one')).usage.cached_tokens).toBe(0);
  expect((await run(engine, prompt, 'two')).usage.cached_tokens).toBe(0);
  expect((await run(engine, prompt)).usage.cached_tokens).toBe(0);
  expect((await run(engine, prompt, 'one')).usage.cached_tokens).toBe(399);
});

test('with a directory, states outlive a crash and a stop; a damaged file is passed over and deleted', async () => {
  const stateDirectory = path.join(folder, 'kv');
  const options = { stateDirectory, restart: { firstDelayMs: 10 } };
  const prompt = digits(8, 500);
  const engine = await start(options);
  const first = await run(engine, prompt);
  await expect
    .poll(async () => (await readdir(stateDirectory)).filter((name) => name.endsWith('.kv')).length)
    .toBe(1);
  const restarting = reaches(engine, 'restarting');
  process.kill(engine.workerPid ?? 0, 'SIGKILL');
  await restarting;
  expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
  const second = await run(engine, prompt);
  expect(second.usage.cached_tokens).toBe(499);
  expect(second.text).toBe(first.text);
  await engine.stop();
  const third = await start(options);
  expect((await run(third, prompt)).usage.cached_tokens).toBe(499);
  await third.stop();
  for (const name of await readdir(stateDirectory)) {
    await writeFile(path.join(stateDirectory, name), 'damaged', { flag: 'r+' });
  }
  const fourth = await start(options);
  expect((await run(fourth, prompt)).usage.cached_tokens).toBe(0);
});
