import type { TokenLogprob } from '@hearth/protocol';
import { beforeAll, expect, test, vi } from 'vitest';
import { resolveModel } from '../../../models/resolve-model.js';
import { rawRequest } from '../testing.js';
import type { Driver } from './driver.js';
import { loadDriver } from './load-driver.js';
import { Scheduler } from './scheduler.js';

/**
 * What a stream owes to the company that it had: nothing. With the real engine, in this process, so that the test says
 * in which step who goes; compared are tokens and the last digits of their log-probabilities.
 */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let driver: Driver;

beforeAll(async () => {
  const { path } = await resolveModel('pilot');
  const order = {
    path,
    sequences: 3,
    contextSize: 512,
    threads: 1,
    longestTokenBytes: 64,
    driver: 'ffi',
  } as const;
  ({ driver } = await loadDriver(order, () => undefined));
});

const watched = 'class Point {\n  constructor(';
const company = 'function add(a, b) {';
const length = 40;
let scopes = 0;

interface Together {
  /** Prompt of the other request; absent: there is none. */
  readonly other?: string;
  /** Tokens after which the other one ends by itself. */
  readonly ends?: number;
  /** Tokens of the other one after which it is cancelled; 0: in its prompt, once the watched one has had ten. */
  readonly cancelled?: number;
}

/** The tokens of the watched stream, each with its log-probability to the last bit. */
async function run({ other, ends = length, cancelled }: Together): Promise<readonly string[]> {
  // States of other runs are of no use to this one: what is reused was evaluated in another company.
  scopes += 1;
  const found: TokenLogprob[] = [];
  let made = 0;
  await new Promise<void>((resolve, reject) => {
    const open = new Set(other === undefined ? [1] : [1, 2]);
    const end = (id: number): void => {
      open.delete(id);
      if (open.size === 0) resolve();
    };
    const scheduler = new Scheduler(driver, {
      chunk: (id, piece) => {
        if (id === 1 && piece.kind === 'token') found.push(...(piece.logprobs ?? []));
        if (id === 2) made += 1;
        if (id === 2 && made === cancelled) scheduler.abort(2);
        if (id === 1 && cancelled === 0 && found.length === 10) scheduler.abort(2);
      },
      done: end,
      failed: (id, failure) => {
        reject(new Error(`${String(id)}: ${failure.message}`));
      },
    });
    const submit = (id: number, prompt: string, maxTokens: number): void => {
      const request = rawRequest(prompt, { maxTokens, logprobs: 1 });
      void scheduler.submit(id, { ...request, cacheScope: `${String(scopes)} ${String(id)}` }, 1000);
    };
    submit(1, watched, length);
    if (other !== undefined) submit(2, other, ends);
  });
  return found.map(({ token, logprob }) => `${String(token)} ${String(logprob)}`);
}

const tokens = (stream: readonly string[]): readonly string[] => stream.map((one) => one.split(' ')[0] ?? '');

test('given the same company, a stream is the same to the last bit', async () => {
  const first = await run({ other: company });
  expect(first).toHaveLength(length);
  expect(await run({ other: company })).toEqual(first);
});

test('given that the other one is cancelled in decode, a stream is to the last bit what it is where that one ends by itself', async () => {
  const ended = await run({ other: company, ends: 12 });
  const cancelled = await run({ other: company, cancelled: 12 });
  expect(cancelled).toEqual(ended);
});

test('given that the other one is cancelled, alone, or through to its end: the tokens are the same', async () => {
  const alone = await run({});
  const undisturbed = await run({ other: company });
  const inDecode = await run({ other: company, cancelled: 12 });
  const inPrompt = await run({ other: company.repeat(20), cancelled: 0 });
  for (const stream of [undisturbed, inDecode, inPrompt]) expect(tokens(stream)).toEqual(tokens(alone));
});
