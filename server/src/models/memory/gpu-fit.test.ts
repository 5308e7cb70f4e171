import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { GgufFacts } from '../gguf-facts.js';
import { estimateMemory } from './estimate.js';
import type { FreeMemory } from './free-memory.js';
import { type CardMemory, fitOnGpu } from './gpu-fit.js';

const gibibyte = 1024 ** 3;

/** Qwen2.5 Coder 7B in Q4_K_M. */
const coder: GgufFacts = {
  version: 3,
  sizeBytes: 4_683_073_536,
  architecture: 'qwen2',
  name: 'coder',
  contextLength: 32_768,
  chatTemplate: true,
  infillTokens: true,
  confidence: undefined,
  vocabularySize: 152_064,
  longestTokenBytes: 128,
  parameters: 7_615_616_512,
  weightBytes: 4_677_000_000,
  quantization: 'Q4_K_M',
  purpose: 'generate',
  shape: {
    layers: 28,
    width: 3584,
    heads: 28,
    keyValueHeads: Array<number>(28).fill(4),
    keyLength: 128,
    valueLength: 128,
    feedForward: 18_944,
    slidingWindow: undefined,
    latentLength: undefined,
  },
};
const plenty: FreeMemory = { bytes: 64 * gibibyte, limitedBy: 'machine' };
const card = (gigabytes: number): CardMemory => ({
  totalBytes: gigabytes * gibibyte,
  freeBytes: gigabytes * gibibyte,
});
const wish = { contextSize: undefined, sequences: 1, gpuLayers: undefined };

test('given a card with room for everything, then all layers and the output go there, with a long context', () => {
  const fit = fitOnGpu(coder, wish, plenty, card(24));
  expect(fit).toMatchObject({ gpuLayers: 29, contextSize: 32_768 });
  expect(fit.cardBytes).toBeGreaterThan(coder.weightBytes);
  // What the worker itself takes stays where it is.
  expect(fit.hostBytes).toBeLessThan(gibibyte / 2);
});

test('given a card with room for a part, then it takes so many layers that they fit, and the machine has the rest', () => {
  const fit = fitOnGpu(coder, wish, plenty, card(4));
  expect(fit.contextSize).toBe(8192);
  expect(fit.gpuLayers).toBeGreaterThan(10);
  expect(fit.gpuLayers).toBeLessThan(29);
  expect(fit.cardBytes).toBeLessThan(4 * gibibyte);
  const { total, compute } = estimateMemory(coder, { contextSize: 8192, sequences: 1 });
  // What one step works with is needed on both sides.
  expect(fit.cardBytes + fit.hostBytes).toBe(total + compute);
});

test('given a card without room, then no layer goes there', () => {
  expect(fitOnGpu(coder, wish, plenty, card(0.25))).toMatchObject({ gpuLayers: 0, cardBytes: 0 });
});

test('given a wish for layers, then it is that many, and no more than there are', () => {
  expect(fitOnGpu(coder, { ...wish, gpuLayers: 7 }, plenty, card(24)).gpuLayers).toBe(7);
  expect(fitOnGpu(coder, { ...wish, gpuLayers: 99 }, plenty, card(24)).gpuLayers).toBe(29);
  expect(fitOnGpu(coder, { ...wish, gpuLayers: 0 }, plenty, card(24)).gpuLayers).toBe(0);
});

test('given a machine too small for the model, then a card makes it fit, and without one it is refused', () => {
  const little: FreeMemory = { bytes: 2 * gibibyte, limitedBy: 'machine' };
  expect(fitOnGpu(coder, wish, little, card(12)).gpuLayers).toBe(29);
  const error = expect.objectContaining({ code: 'insufficient_memory' }) as Error;
  expect(() => fitOnGpu(coder, wish, little, card(0.25))).toThrow(error);
});

test('more memory on the card never means fewer layers, and what is put there fits', () => {
  const size = fc.double({ min: 0, max: 24, noNaN: true });
  const contextSize = fc.integer({ min: 512, max: 32_768 });
  fc.assert(
    fc.property(size, size, contextSize, (one, other, context) => {
      const at = (gigabytes: number) =>
        fitOnGpu(coder, { ...wish, contextSize: context }, plenty, card(gigabytes));
      const [small, large] = [Math.min(one, other), Math.max(one, other)];
      expect(at(large).gpuLayers).toBeGreaterThanOrEqual(at(small).gpuLayers);
      expect(at(large).cardBytes).toBeLessThanOrEqual(large * gibibyte);
      expect(at(large).contextSize).toBe(context);
    }),
  );
});

test('given a model whose layers are not known, then it goes there whole or not at all', () => {
  const unknown = { ...coder, shape: undefined };
  expect(fitOnGpu(unknown, wish, plenty, card(24)).gpuLayers).toBe(1);
  expect(fitOnGpu(unknown, wish, plenty, card(2)).gpuLayers).toBe(0);
});
