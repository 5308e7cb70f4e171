import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { resolveModel } from '../../models/resolve-model.js';
import { LlamaEngine } from './llama-engine.js';
import { bundleTestWorker, rawRequest, reaches } from './testing.js';
import type { TestWorker } from './testing.js';

/** Guessing ahead changes how fast an answer comes, and not what it says. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let worker: TestWorker;
const engines: LlamaEngine[] = [];
beforeAll(async () => {
  worker = await bundleTestWorker();
});
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
});
afterAll(() => worker.dispose());

async function answer(drafts: 'off' | 'lookup' | 'draft', prompt: string, sampling = {}) {
  const engine = new LlamaEngine({
    source: await resolveModel('pilot'),
    sequences: 2,
    workerPath: worker.path,
    driver: 'ffi',
    drafts,
  });
  engines.push(engine);
  engine.start();
  expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
  let text = '';
  for await (const chunk of engine.generate(
    rawRequest(prompt, { maxTokens: 80, ...sampling }),
    new AbortController().signal,
  )) {
    if (chunk.kind === 'token') text += chunk.text;
    if (chunk.kind === 'done') return { text, usage: chunk.usage, timings: chunk.timings };
  }
  throw new Error('it did not end');
}

const prompt = 'const list = [\n  "one",\n  "two",\n  "one",\n  "two",\n';

test('greedy: the same text, with guesses reported and many of them right', async () => {
  const plain = await answer('off', prompt);
  const guessed = await answer('lookup', prompt);
  expect(guessed.text).toBe(plain.text);
  expect(guessed.usage).toEqual(plain.usage);
  expect(plain.timings?.draftTokens).toBeUndefined();
  expect(guessed.timings?.draftTokens).toBeGreaterThan(0);
  expect(guessed.timings?.draftAccepted).toBeGreaterThan(0);
});

test('seeded sampling: the same text too', async () => {
  const sampling = { temperature: 0.7, seed: 5 };
  expect((await answer('lookup', prompt, sampling)).text).toBe((await answer('off', prompt, sampling)).text);
});
