import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { ModelSource } from '../../models/model-source.js';
import { resolveModel } from '../../models/resolve-model.js';
import { writeTinyGguf } from '../../models/testing/tiny-gguf.js';
import { LlamaEngine } from './llama-engine.js';
import { bundleTestWorker, collect, rawRequest, reaches } from './testing.js';
import type { Collected, TestWorker } from './testing.js';
import type { DriverName } from './worker/messages.js';

/** The two drivers are two ways to the same library: with greedy sampling they write the same. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let worker: TestWorker;
let folder: string;

beforeAll(async () => {
  worker = await bundleTestWorker();
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-parity-'));
});

afterAll(async () => {
  await worker.dispose();
  await rm(folder, { recursive: true, force: true });
});

/** Of fewer tokens than a piece of a prompt has: how a prompt is cut shows in the last digits of its state. */
const prompts = [
  'function add(a, b) {',
  'class Point {\n  constructor(',
  'import path from ',
  '// Wärme, 温かい, ☀️\nconst',
  'for (let index = 0; index < items.length; index += 1) {\n  const item = items[index];\n  if (item ===',
];

interface Answers {
  /** One prompt after the other. */
  readonly alone: readonly Shown[];
  /** Two prompts at a time: who shares a batch, and so the last digits of a sum, is a matter of time. */
  readonly together: readonly Shown[];
}

async function answers(source: ModelSource, driver: DriverName): Promise<Answers> {
  const engine = new LlamaEngine({ source, sequences: 2, workerPath: worker.path, driver });
  engine.start();
  try {
    expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
    expect(engine.model?.driver).toBe(driver);
    const never = new AbortController().signal;
    const run = (prompt: string) => collect(engine.generate(rawRequest(prompt, { maxTokens: 60 }), never));
    const alone: Collected[] = [];
    for (const prompt of prompts) alone.push(await run(prompt));
    const together = await Promise.all(prompts.map(run));
    return { alone: alone.map(show), together: together.map(show) };
  } finally {
    await engine.stop();
  }
}

type Shown = ReturnType<typeof show>;
const show = ({ text, stopReason, usage }: Collected) => ({
  text,
  stopReason,
  tokens: usage.completion_tokens,
});

test('given the pilot and greedy sampling, then both drivers write the same, and answer each of several at once', async () => {
  const source = await resolveModel('pilot');
  const ffi = await answers(source, 'ffi');
  const addon = await answers(source, 'addon');
  expect(ffi.alone.every(({ text }) => text !== '')).toBe(true);
  expect(ffi.alone).toEqual(addon.alone);
  for (const { together } of [ffi, addon])
    expect(together.map(({ tokens }) => tokens)).toEqual(Array(prompts.length).fill(60));
});

test('given two threads, then they stay between steps and every answer comes whole', async () => {
  const source = await resolveModel('pilot');
  // Not compared with one thread's: how many share a sum shows in its last digits, and a near tie may fall otherwise.
  const { alone, together } = await answers({ ...source, threads: 2 }, 'ffi');
  expect([...alone, ...together].map(({ tokens }) => tokens)).toEqual(Array(2 * prompts.length).fill(60));
});

test('given random weights and greedy sampling, then both drivers write the same', async () => {
  const file = path.join(folder, 'tiny.gguf');
  await writeTinyGguf(file, { contextLength: 1024, printable: false });
  const source = await resolveModel(file);
  expect((await answers(source, 'ffi')).alone).toEqual((await answers(source, 'addon')).alone);
});
