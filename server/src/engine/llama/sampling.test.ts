import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Sampling, TokenLogprob } from '@hearth/protocol';
import { resolveModel } from '../../models/resolve-model.js';
import { LlamaEngine } from './llama-engine.js';
import { bundleTestWorker, collect, rawRequest, reaches } from './testing.js';
import type { TestWorker } from './testing.js';
import type { DriverName } from './worker/messages.js';

/** Each part of sampling reaches the sampler, and what a driver lacks is refused. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let worker: TestWorker;
const engines: LlamaEngine[] = [];
const never = new AbortController().signal;
const prompt = 'function add(a, b) {';

beforeAll(async () => {
  worker = await bundleTestWorker();
});
afterEach(async () => {
  await Promise.all(engines.splice(0).map((engine) => engine.stop()));
});
afterAll(() => worker.dispose());

async function start(driver: DriverName): Promise<(sampling: Partial<Sampling>) => Promise<string>> {
  const engine = new LlamaEngine({
    source: await resolveModel('pilot'),
    sequences: 1,
    workerPath: worker.path,
    driver,
  });
  engines.push(engine);
  engine.start();
  expect(await reaches(engine, 'ready', 'failed')).toEqual({ kind: 'ready' });
  return async (sampling) => {
    const request = rawRequest(prompt, { maxTokens: 60, ...sampling });
    return (await collect(engine.generate(request, never))).text;
  };
}

describe.each(['ffi', 'addon'] as const)('through %s', (driver) => {
  test('penalties, DRY, XTC and biases change what greedy or seeded sampling writes', async () => {
    const write = await start(driver);
    const plain = await write({});
    const penalties = { repeat: 1, presence: 0, frequency: 0, lastN: 64 };
    const changed = {
      repeat: await write({ penalties: { ...penalties, repeat: 2 } }),
      presence: await write({ penalties: { ...penalties, presence: 5 } }),
      frequency: await write({ penalties: { ...penalties, frequency: 5 } }),
      dry: await write({ dry: { multiplier: 5, base: 1.75, allowedLength: 1, lastN: 1024 } }),
    };
    for (const text of Object.values(changed)) expect(text).not.toBe(plain);
    expect(await write({ penalties: { ...penalties, repeat: 2, lastN: 0 } })).toBe(plain);
    const seeded = { temperature: 1.5, seed: 3 };
    const free = await write(seeded);
    expect(await write({ ...seeded, xtc: { probability: 1, threshold: 0.05 } })).not.toBe(free);
  });
});

describe('through ffi alone', () => {
  test('typical_p and mirostat change what seeded sampling writes, and reproduce', async () => {
    const write = await start('ffi');
    const seeded = { temperature: 1.5, seed: 3 };
    const free = await write(seeded);
    const narrow = { ...seeded, typicalP: 0.1 };
    expect(await write(narrow)).not.toBe(free);
    for (const version of [1, 2] as const) {
      const mirostat = { ...seeded, mirostat: { version, tau: 2, eta: 0.1 } };
      const text = await write(mirostat);
      expect(text).not.toBe(free);
      expect(await write(mirostat)).toBe(text);
    }
  });

  test('a banned token never comes, a favoured one always, and an unknown one is refused', async () => {
    const engine = await start('ffi').then(() => engines[0]!);
    const run = async (sampling: Partial<Sampling>) => {
      const probed: TokenLogprob[] = [];
      const request = rawRequest(prompt, { maxTokens: 20, logprobs: 2, ...sampling });
      for await (const chunk of engine.generate(request, never)) {
        if (chunk.kind === 'token') probed.push(...(chunk.logprobs ?? []));
      }
      return probed;
    };
    const plain = await run({});
    expect(plain).toHaveLength(20);
    const [first] = plain;
    for (const { token, logprob, alternatives } of plain) {
      // Greedy: the likeliest is the one that was taken.
      expect(alternatives[0]).toMatchObject({ token, logprob });
      expect(alternatives).toHaveLength(2);
      expect(logprob).toBeLessThanOrEqual(0);
    }
    const banned = await run({ logitBias: [{ token: first!.token, bias: -100 }] });
    expect(banned.map(({ token }) => token)).not.toContain(first!.token);
    const favourite = first!.alternatives[1]!.token;
    const favoured = await run({ logitBias: [{ token: favourite, bias: 100 }] });
    expect(favoured.every(({ token }) => token === favourite)).toBe(true);
    // The model's own opinion is not touched by a bias.
    expect(favoured[0]!.alternatives[0]!.token).toBe(first!.token);
    await expect(run({ logitBias: [{ token: 10_000_000, bias: 1 }] })).rejects.toMatchObject({
      kind: 'invalid_request',
    });
  });
});

test('what node-llama-cpp lacks is refused by name', async () => {
  const write = await start('addon');
  for (const sampling of [
    { typicalP: 0.5 },
    { mirostat: { version: 2, tau: 5, eta: 0.1 } },
    { logprobs: 1 },
  ] as const) {
    await expect(write(sampling)).rejects.toMatchObject({ kind: 'unsupported' });
  }
});
