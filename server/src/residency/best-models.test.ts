import type { BestModelRequest } from '@hearth/protocol';
import { describe, expect, test, vi } from 'vitest';
import { readCatalogue } from '../models/catalogue/catalogue.js';
import type { MeasuredMachine, MeasuringStep } from '../models/machine/measure-machine.js';
import { bestOf, BestModels, type HeldModels } from './best-models.js';

const gigabyte = 1e9;
const nothingHeld: HeldModels = { stored: new Set(), loaded: new Set(), chosen: 'hearth-pilot' };
const measured = (bytesPerSecond: number): MeasuredMachine => ({
  bytesPerSecond,
  measuredAt: '2026-01-01T00:00:00.000Z',
});
const free = (gigabytes: number) => ({ bytes: gigabytes * gigabyte, limitedBy: 'machine' as const });
const forever = (): AbortSignal => new AbortController().signal;

describe('the best model', () => {
  const catalogue = readCatalogue();
  const best = async (
    bytesPerSecond: number,
    gigabytes: number,
    held: HeldModels = nothingHeld,
  ): Promise<BestModelRequest.Result> =>
    bestOf('fim', await catalogue, measured(bytesPerSecond * gigabyte), free(gigabytes), held);

  test('is the largest that fits and is fast enough, with its figures and its licence', async () => {
    const found = await best(30, 16);
    expect(found).toMatchObject({
      kind: 'found',
      model: {
        name: 'qwen2.5-coder-1.5b',
        fetchBytes: 1_646_573_056,
        stored: false,
        chosen: false,
        isFastEnough: true,
        license: 'Apache-2.0',
      },
      machine: { freeBytes: 16 * gigabyte, contextTokens: 8192, limitedBy: 'machine' },
    });
    expect(found.kind === 'found' && found.model.tokensPerSecond).toBeCloseTo(30e9 / 1_646_573_056, 3);
  });

  test('asks for no download where it is stored, and says where it is the chosen one', async () => {
    const name = 'qwen2.5-coder-1.5b';
    const held = { stored: new Set([name]), loaded: new Set<string>(), chosen: name };
    expect(await best(30, 16, held)).toMatchObject({
      model: { name, fetchBytes: 0, stored: true, chosen: true },
    });
  });

  test('stays the one that is loaded, whose memory is taken already', async () => {
    const loaded = new Set(['qwen2.5-coder-1.5b']);
    expect(await best(30, 1.5)).toMatchObject({ model: { name: 'qwen2.5-coder-0.5b' } });
    expect(await best(30, 1.5, { ...nothingHeld, loaded })).toMatchObject({
      model: { name: 'qwen2.5-coder-1.5b' },
    });
  });

  test('is the fastest that fits where all are slow, and says that it is slow', async () => {
    expect(await best(1, 16)).toMatchObject({ model: { name: 'qwen2.5-coder-0.5b', isFastEnough: false } });
  });

  test('is never one that may not be used at work', async () => {
    // The one of three billion would fit and be fast enough.
    expect(await best(60, 4.5)).toMatchObject({ model: { name: 'qwen2.5-coder-1.5b' } });
  });

  test('does not exist where nothing fits: the figures say by how much', async () => {
    expect(await best(30, 0.5)).toEqual({
      kind: 'nothing_fits',
      smallest: expect.objectContaining({ name: 'qwen2.5-coder-0.5b', fits: false }) as unknown,
      machine: expect.objectContaining({ freeBytes: 0.5 * gigabyte }) as unknown,
    });
    expect(bestOf('fim', [], measured(1), free(1), nothingHeld)).not.toHaveProperty('smallest');
  });
});

describe('measuring', () => {
  /** Parts whose measurement a test steers. */
  function steered() {
    let remembered: MeasuredMachine | undefined;
    let finish = (_: MeasuredMachine): void => undefined;
    let tell = (_: MeasuringStep): void => undefined;
    let signalled: AbortSignal | undefined;
    const measure = vi.fn((onStep: (step: MeasuringStep) => void, signal: AbortSignal) => {
      tell = onStep;
      signalled = signal;
      return new Promise<MeasuredMachine>((resolve, reject) => {
        finish = (result) => {
          remembered = result;
          resolve(result);
        };
        signal.addEventListener('abort', () => {
          reject(new DOMException('aborted', 'AbortError'));
        });
      });
    });
    const models = new BestModels({
      remembered: async () => remembered,
      measure,
      catalogue: () => readCatalogue(),
      free: async () => free(16),
      held: async () => nothingHeld,
    });
    return {
      models,
      measure,
      finish: (result: MeasuredMachine) => {
        finish(result);
      },
      tell: (step: MeasuringStep) => {
        tell(step);
      },
      aborted: () => signalled?.aborted,
    };
  }

  test('is done once for two who ask meanwhile, told to both, and not again', async () => {
    const { models, measure, finish, tell } = steered();
    const heard = [vi.fn(), vi.fn()];
    const first = models.find('fim', heard[0]!, forever());
    await vi.waitFor(() => {
      expect(measure).toHaveBeenCalledOnce();
    });
    tell('load');
    const second = models.find('chat', heard[1]!, forever());
    await vi.waitFor(() => {
      expect(heard[1]).toHaveBeenCalledExactlyOnceWith({ phase: 'load' });
    });
    tell('time');
    finish(measured(30 * gigabyte));
    expect(await first).toMatchObject({ model: { kind: 'fim' } });
    expect(await second).toMatchObject({ model: { kind: 'chat' } });
    for (const ear of heard) expect(ear).toHaveBeenLastCalledWith({ phase: 'time' });
    await models.find('fim', () => undefined, forever());
    expect(measure).toHaveBeenCalledOnce();
  });

  test('goes on for the other where one leaves, and ends with the last', async () => {
    const { models, measure, aborted } = steered();
    const leaves = [new AbortController(), new AbortController()];
    const waiting = leaves.map(({ signal }) => models.find('fim', () => undefined, signal));
    await vi.waitFor(() => {
      expect(measure).toHaveBeenCalledOnce();
    });
    leaves[0]?.abort();
    await expect(waiting[0]).rejects.toMatchObject({ name: 'AbortError' });
    expect(aborted()).toBe(false);
    leaves[1]?.abort();
    await expect(waiting[1]).rejects.toMatchObject({ name: 'AbortError' });
    expect(aborted()).toBe(true);
  });

  test('ends when the daemon does', async () => {
    const { models, measure } = steered();
    const waiting = models.find('fim', () => undefined, forever());
    await vi.waitFor(() => {
      expect(measure).toHaveBeenCalledOnce();
    });
    await Promise.all([models.stop(), expect(waiting).rejects.toMatchObject({ name: 'AbortError' })]);
    await expect(models.find('fim', () => undefined, forever())).rejects.toMatchObject({
      name: 'AbortError',
    });
  });
});
