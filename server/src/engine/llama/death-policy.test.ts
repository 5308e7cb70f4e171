import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { writeTinyGguf } from '../../models/testing/tiny-gguf.js';
import { afterCardDeath, type CardDeaths, isCardLost, windowMs } from './card-deaths.js';
import type { ChosenDevice } from './device-choice.js';
import type { LlamaEngineOptions } from './llama-engine.js';
import { LlamaEngine } from './llama-engine.js';
import { collect, rawRequest, reaches } from './testing.js';

/** What becomes of an engine whose worker dies, by how it dies. The workers are played. */

vi.setConfig({ testTimeout: 120_000 });

let folder: string;
let engine: LlamaEngine | undefined;

beforeEach(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-death-'));
});
afterEach(async () => {
  await engine?.stop();
  await rm(folder, { recursive: true, force: true });
});

const loaded = `process.send({ kind: 'loaded', info: { contextSize: 64, infill: false, threads: 1, driver: 'addon' } })`;

/** Starts an engine whose workers write a line for each start, and then do as they are told. */
async function play(
  { onLoad, onGenerate = '' }: { readonly onLoad: string; readonly onGenerate?: string },
  options: Partial<LlamaEngineOptions> = {},
): Promise<{ readonly engine: LlamaEngine; readonly starts: () => Promise<number> }> {
  const [file, workerPath, log] = ['tiny.gguf', 'worker.mjs', 'starts'].map((name) =>
    path.join(folder, name),
  );
  await writeTinyGguf(file ?? '');
  await writeFile(log ?? '', '');
  await writeFile(
    workerPath ?? '',
    `import fs from 'node:fs';
fs.appendFileSync(${JSON.stringify(log)}, 'x');
let gpu;
const starts = fs.readFileSync(${JSON.stringify(log)}, 'utf8').length;
process.on('message', (message) => {
  if (message.kind === 'load') { gpu = message.order.gpu; ${onLoad} }
  if (message.kind === 'generate') { ${onGenerate} }
  if (message.kind === 'ping') process.send({ kind: 'pong', stepMs: 0, grammars: 'none' });
  if (message.kind === 'shutdown') process.exit(0);
});
process.on('disconnect', () => process.exit());
`,
  );
  const one = new LlamaEngine({
    source: { id: 'tiny', displayName: 'tiny', path: file ?? '', sizeBytes: (await stat(file ?? '')).size },
    sequences: 1,
    workerPath: workerPath ?? '',
    restart: { budget: 2, firstDelayMs: 1 },
    stopTimes: { politeMs: 1000, termMs: 1000 },
    ...options,
  });
  engine = one;
  one.start();
  return { engine: one, starts: async () => (await readFile(log ?? '', 'utf8')).length };
}

test('a model at which the engine crashes is not loaded again: it is the model', async () => {
  const { engine: one, starts } = await play({ onLoad: 'process.abort();' });
  const state = await reaches(one, 'failed', 'ready');
  expect(state).toMatchObject({ kind: 'failed', code: 'model_load_failed' });
  expect(JSON.stringify(state)).toMatch(/crashed while it loaded this model.*Try another file/);
  expect(await starts()).toBe(1);
});

test('one that the worker itself refuses is not loaded again either', async () => {
  const refusal = `process.send({ kind: 'fatal', code: 'insufficient_memory', message: 'Too large.' })`;
  const { engine: one, starts } = await play({ onLoad: refusal });
  expect(await reaches(one, 'failed', 'ready')).toMatchObject({
    code: 'insufficient_memory',
    reason: 'Too large.',
  });
  expect(await starts()).toBe(1);
});

test('killed in its first load, most often for want of memory, it is started again within its budget', async () => {
  const { engine: one, starts } = await play({
    onLoad: `if (starts < 3) process.kill(process.pid, 'SIGKILL'); else ${loaded};`,
  });
  expect(await reaches(one, 'failed', 'ready')).toEqual({ kind: 'ready' });
  expect(await starts()).toBe(3);
});

test('a crash in a later load counts like any other: the model has been loaded before', async () => {
  const { engine: one, starts } = await play({
    onLoad: `if (starts === 2) process.abort(); else ${loaded};`,
    onGenerate: `process.kill(process.pid, 'SIGTERM');`,
  });
  await reaches(one, 'ready');
  await expect(collect(one.generate(rawRequest('x'), new AbortController().signal))).rejects.toMatchObject({
    kind: 'crashed',
  });
  expect(await reaches(one, 'failed', 'ready')).toEqual({ kind: 'ready' });
  expect(await starts()).toBe(3);
});

test.each([
  ['an abort', 'process.abort();', 'crashed'],
  ['a signal', `process.kill(process.pid, 'SIGTERM');`, 'crashed'],
  ['no memory', `process.kill(process.pid, 'SIGKILL');`, 'crashed'],
  ['an end of its own', 'process.exit(1);', 'crashed'],
])(
  '%s in use fails its own stream; the engine starts again, and gives up after its budget',
  async (_what, onGenerate, kind) => {
    const { engine: one, starts } = await play({ onLoad: loaded, onGenerate });
    for (let time = 0; time < 3; time += 1) {
      expect(await reaches(one, 'ready', 'failed')).toEqual({ kind: 'ready' });
      const lost = collect(one.generate(rawRequest('x'), new AbortController().signal));
      await expect(lost).rejects.toMatchObject({ kind });
    }
    expect(await reaches(one, 'ready', 'failed')).toMatchObject({ kind: 'failed', code: 'engine_crashed' });
    expect(await starts()).toBe(3);
  },
);

describe('on a graphics card', () => {
  const card: ChosenDevice = { kind: 'vulkan', name: 'Card', totalBytes: 8e9, freeBytes: 8e9 };
  /** The card ends the worker at each generation; on the processor it writes an end. */
  const onGenerate =
    `if (gpu) process.abort(); else process.send({ kind: 'done', id: message.id, result: { stopReason: 'end_turn', ` +
    `usage: { prompt_tokens: 1, completion_tokens: 0 }, decode: { tokens: 0, milliseconds: 0 } } })`;
  const useOnce = (one: LlamaEngine) => collect(one.generate(rawRequest('x'), new AbortController().signal));

  test.each([
    ['again and again', 10, 3],
    ['more often than it may be started again', 1, 2],
  ])(
    'an engine that dies there %s after it was ready goes on with the processor, which says why',
    async (_what, budget, deaths) => {
      const { engine: one, starts } = await play(
        { onLoad: loaded, onGenerate },
        { chooseDevice: async () => card, restart: { budget, firstDelayMs: 1 } },
      );
      for (let time = 0; time < deaths; time += 1) {
        expect(await reaches(one, 'ready', 'failed')).toEqual({ kind: 'ready' });
        expect(one).toMatchObject({ accelerator: 'vulkan', model: { accelerator: { device: 'Card' } } });
        await expect(useOnce(one)).rejects.toMatchObject({ kind: 'crashed' });
      }
      expect(await reaches(one, 'ready', 'failed')).toEqual({ kind: 'ready' });
      expect(one.model?.accelerator).toEqual({
        kind: 'cpu',
        reason: expect.stringMatching(
          /^Vulkan: it is not used .* again and again: the engine crashed/u,
        ) as string,
      });
      expect(await useOnce(one)).toMatchObject({ stopReason: 'end_turn' });
      expect(await starts()).toBe(deaths + 1);
    },
  );

  test('deaths that lie far apart do not count together', () => {
    let deaths: CardDeaths = [];
    for (let time = 0; time < 10; time += 1) deaths = afterCardDeath(deaths, time * (windowMs / 2 + 1));
    expect(isCardLost(deaths)).toBe(false);
    deaths = afterCardDeath(deaths, 9 * (windowMs / 2 + 1) + 1);
    expect(isCardLost(deaths)).toBe(true);
  });
});
