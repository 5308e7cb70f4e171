import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { resolveModel } from '../../models/resolve-model.js';
import type { BackendState } from '@hearth/protocol';
import { LlamaEngine } from './llama-engine.js';
import { bundleTestWorker, collect, grammarRequest, rawRequest, reaches } from './testing.js';
import type { TestWorker } from './testing.js';

/**
 * A grammar that llama.cpp does not come back from, with the engine itself. Grammars like it are refused before native
 * code sees them; the worker of this test lets it through, as if the bounds had missed one.
 */

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 });

/** A word of n letters can be read in as many ways as n parts can be chosen from sixty. */
const endless = `root ::= ${'[a-z ]? '.repeat(60)}`;
const never = new AbortController().signal;

let worker: TestWorker;
let engine: LlamaEngine;
let states: BackendState[] = [];

beforeAll(async () => {
  worker = await bundleTestWorker({ withoutGrammarGuard: true });
});

afterEach(() => engine.stop());
afterAll(() => worker.dispose());

/** With no restart to spare: one death that counts would be its end. */
async function start(): Promise<void> {
  engine = new LlamaEngine({
    source: await resolveModel('pilot'),
    sequences: 3,
    workerPath: worker.path,
    driver: 'ffi',
    restart: { budget: 0 },
  });
  states = [];
  engine.start();
  expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
  engine.events.on('state', (state) => states.push(state));
}

test('its request is given up with a typed error, others go on meanwhile, and the engine is renewed at no cost', async () => {
  await start();
  const plain = async () => {
    const { stopReason, usage } = await collect(engine.generate(rawRequest('function add('), never));
    return [stopReason, usage.completion_tokens];
  };
  const whole = await plain();
  const { workerPid } = engine;

  const stuckOne = { isOver: false };
  const stuck = collect(engine.generate(grammarRequest('a word', endless), never))
    .then(
      () => 'it ended well',
      (error: unknown) => error,
    )
    .finally(() => {
      stuckOne.isOver = true;
    });
  let others = 0;
  while (!stuckOne.isOver) {
    expect(await plain()).toEqual(whole);
    others += 1;
  }
  const error = await stuck;
  expect(error).toMatchObject({ kind: 'invalid_request' });
  expect(error).toHaveProperty('message', expect.stringContaining('too ambiguous'));
  // Had the first waited for the grammar, it would have been the only one.
  expect(others).toBeGreaterThan(1);

  // It is still computing on a thread that nobody can stop: idle, the worker gives way to another.
  await vi.waitFor(() => expect(engine.workerPid).not.toBe(workerPid), { timeout: 60_000 });
  expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
  expect(await plain()).toEqual(whole);
  expect(states.filter(({ kind }) => kind === 'restarting')).toMatchObject([
    { reason: 'a grammar of a request kept the engine busy after its end' },
  ]);
});

test('cancelled, it ends at once as cancelled, and what it left behind is cleared away', async () => {
  await start();
  const { workerPid } = engine;
  const cancel = new AbortController();
  const stuck = collect(engine.generate(grammarRequest('a word', endless), cancel.signal));
  // Several that began later have ended, one after the other: the step with the grammar is past its bound for the others.
  // After a single one the grammar may still be being read.
  for (let others = 0; others < 6; others += 1)
    await collect(engine.generate(rawRequest('function add('), never));
  cancel.abort();
  expect((await stuck).stopReason).toBe('cancelled');
  await vi.waitFor(() => expect(engine.workerPid).not.toBe(workerPid), { timeout: 60_000 });
  expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
});
