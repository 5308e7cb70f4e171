import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrangeInfill, fitInfill } from './infill.js';

const numbers = (count: number, from = 0): readonly number[] =>
  Array.from({ length: count }, (_, index) => from + index);
const parts = { prefix: [1, 2], suffix: [3] };

test('with a middle token the order is prefix, suffix, middle', () => {
  const tokens = { begin: 90, prefix: 91, suffix: 92, middle: 93 };
  expect(arrangeInfill(parts, tokens)).toEqual([90, 91, 1, 2, 92, 3, 93]);
});

test('a model that says so gets the suffix first, and goes on behind the prefix', () => {
  const tokens = { begin: undefined, prefix: 91, suffix: 92, middle: 93, first: 'suffix' } as const;
  expect(arrangeInfill(parts, tokens)).toEqual([91, 92, 3, 93, 1, 2]);
});

test('without one the suffix comes first', () => {
  const tokens = { begin: undefined, prefix: 91, suffix: 92, middle: undefined };
  expect(arrangeInfill(parts, tokens)).toEqual([92, 3, 91, 1, 2]);
});

test('what is short stays whole, and the other side may have its room', () => {
  expect(fitInfill({ prefix: numbers(10), suffix: numbers(10) }, 100, 20)).toEqual({
    prefix: numbers(10),
    suffix: numbers(10),
  });
  const { prefix, suffix } = fitInfill({ prefix: numbers(500), suffix: [] }, 100, 20);
  expect([prefix.length, suffix.length]).toEqual([76, 0]);
});

test('the prefix keeps its end, the suffix its beginning, and all of it fits with the answer', () => {
  fc.assert(
    fc.property(
      fc.nat(300),
      fc.nat(300),
      fc.integer({ min: 16, max: 256 }),
      fc.nat(2000),
      (before, after, contextSize, maxTokens) => {
        const document = { prefix: numbers(before), suffix: numbers(after, 1000) };
        const { prefix, suffix } = fitInfill(document, contextSize, maxTokens);
        expect(document.prefix.slice(before - prefix.length)).toEqual(prefix);
        expect(document.suffix.slice(0, suffix.length)).toEqual(suffix);
        const answer = Math.min(maxTokens, Math.floor(contextSize / 4));
        expect(prefix.length + suffix.length + 4 + answer).toBeLessThanOrEqual(contextSize);
      },
    ),
  );
});
