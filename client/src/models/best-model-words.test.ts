import type { BestModel, BestModelRequest } from '@hearth/protocol';
import { expect, it } from 'vitest';
import { bestModelWords } from './best-model-words.js';

const machine: BestModelRequest.Machine = {
  bytesPerSecond: 12e9,
  measuredAt: '2026-01-01T00:00:00.000Z',
  freeBytes: 600e6,
  limitedBy: 'machine',
  contextTokens: 8192,
};
const model: BestModel = {
  name: 'coder-small',
  displayName: 'Coder Small',
  kind: 'fim',
  approximateBytes: 531e6,
  parameters: 494e6,
  quantization: 'Q8_0',
  license: 'Apache-2.0',
  note: 'Ghost text on small machines.',
  memoryBytes: 946e6,
  fits: true,
  stored: false,
  fetchBytes: 531e6,
  tokensPerSecond: 22.6,
  isFastEnough: true,
  chosen: false,
};
const found = (changes: Partial<BestModel> = {}) =>
  bestModelWords({ kind: 'found', model: { ...model, ...changes }, machine });

it('names model, size, speed and licence, and fetches at one click', () => {
  expect(found()).toEqual({
    message:
      'The best model for this machine is Coder Small: 531 MB to fetch, about 23 tokens a second, licence Apache-2.0.',
    button: 'Fetch and Use It',
  });
});

it('fetches nothing where it is there already', () => {
  expect(found({ stored: true, fetchBytes: 0 })).toMatchObject({
    message: expect.stringContaining('531 MB, here already') as unknown,
    button: 'Use It',
  });
});

it('has nothing to click where it is used already', () => {
  const words = found({ stored: true, fetchBytes: 0, chosen: true });
  expect(words.message).toContain('already uses the best model for this machine: Coder Small');
  expect(words).not.toHaveProperty('button');
});

it('says so where the best is slow', () => {
  expect(found({ tokensPerSecond: 2.34, isFastEnough: false }).message).toMatch(
    /about 2\.3 tokens a second.* It is slow here/u,
  );
});

it('says with the figures that nothing fits', () => {
  const { message, button } = bestModelWords({ kind: 'nothing_fits', smallest: model, machine });
  expect(message).toContain('600 MB of memory that are free now: the smallest, Coder Small, needs 946 MB');
  expect(button).toBeUndefined();
  const container = { ...machine, limitedBy: 'container' } as const;
  expect(bestModelWords({ kind: 'nothing_fits', smallest: model, machine: container }).message).toContain(
    'this container',
  );
  expect(bestModelWords({ kind: 'nothing_fits', machine }).message).toContain('no catalogue');
});
