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

test('a stretch is long where one kind of character goes on, and short in any language and any table', () => {
  for (const run of [' ', 'é', 'x', '7', '='] as const) {
    expect(longestStretch(run.repeat(100_000))).toBe(100_000);
  }
  const ordinary = [
    'some words\n',
    'Это простой текст, и он длинный. ',
    '这是一个很长的文本,但是它有标点。',
    '1.25, 2.5e3, 4096, -7;\n',
    'aGVsbG8gd29ybGQ9PQ0K+/8x',
  ];
  for (const text of ordinary) expect(longestStretch(text.repeat(10_000))).toBeLessThan(20);
});
