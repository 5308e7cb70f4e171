import fc from 'fast-check';
import { expect, test } from 'vitest';
import { cutForCount, longestStretch } from './pieces.js';

test('pieces are the text, none is long, and none ends inside a character', () => {
  const texts = fc
    .tuple(
      fc.constantFrom('é', '😀', ' ', '\n', 'some words\nand lines ', 'x😀'),
      fc.integer({ min: 1, max: 30_000 }),
      fc.boolean(),
    )
    .map(([unit, times, shifted]) => (shifted ? 'a' : '') + unit.repeat(times));
  fc.assert(
    fc.property(texts, (text) => {
      const pieces = [...cutForCount(text)];
      expect(pieces.join('') === text).toBe(true);
      if (text.length <= 16_384) expect(pieces).toHaveLength(1);
      else expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(4096);
      expect(pieces.some((piece) => /\p{Surrogate}/u.test(piece))).toBe(false);
    }),
    { numRuns: 50 },
  );
});

test('a cut is at a border between words where one is near', () => {
  const pieces = [...cutForCount('some words of a text\n'.repeat(2000))];
  for (const piece of pieces.slice(1)) expect(piece).toMatch(/^(?: [a-z]|[a-z]+ )/u);
  expect(pieces.length).toBeGreaterThan(5);
});

test('a stretch is long without borders only', () => {
  expect(longestStretch(' '.repeat(100_000))).toBe(100_000);
  expect(longestStretch('some words\n'.repeat(10_000))).toBeLessThan(10);
});
