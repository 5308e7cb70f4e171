import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PrefillPace } from './prefill-pace.js';

/** How long a step takes: so much for the decodes, and so much for each token of a prompt. */
interface Machine {
  readonly decodeMs: number;
  readonly tokenMs: number;
}

/** Evaluates a prompt beside `decoding` streams; gives the steps that it took, by how much longer each was than one without. */
function evaluate(
  pace: PrefillPace,
  { decodeMs, tokenMs }: Machine,
  tokens: number,
  decoding: number,
): number[] {
  for (let step = 0; step < 3; step += 1) pace.observe(decoding, 0, decodeMs);
  const steps: number[] = [];
  for (let rest = tokens; rest > 0;) {
    const piece = Math.min(rest, pace.budget(decoding));
    expect(piece).toBeGreaterThan(0);
    const milliseconds = decodeMs + piece * tokenMs;
    pace.observe(decoding, piece, milliseconds);
    steps.push(milliseconds / decodeMs);
    rest -= piece;
  }
  return steps;
}

test('while a prompt of 8000 is evaluated, each step of the others takes less than twice as long', () => {
  const steps = evaluate(new PrefillPace({ most: 512 }), { decodeMs: 10, tokenMs: 0.5 }, 8000, 4);
  expect(Math.max(...steps)).toBeLessThan(2);
  // And no piece is smaller than it has to be: 16 tokens fit into a step.
  expect(steps.length).toBeLessThan((8000 / 16) * 1.1);
});

test('where nobody decodes, pieces are as large as a step', () => {
  expect(new PrefillPace({ most: 512 }).budget(0)).toBe(512);
});

test('on any machine on which one token is cheaper than a step, no step takes twice as long, but for the first', () => {
  const machine = fc.record({
    decodeMs: fc.double({ min: 1, max: 500, noNaN: true }),
    share: fc.double({ min: 0.01, max: 0.9, noNaN: true }),
  });
  fc.assert(
    fc.property(machine, fc.integer({ min: 1, max: 16 }), ({ decodeMs, share }, decoding) => {
      const pace = new PrefillPace({ most: 512 });
      const steps = evaluate(pace, { decodeMs, tokenMs: decodeMs * share }, 1000, decoding);
      // Of the first nothing is known yet: it has eight tokens.
      expect(Math.max(...steps.slice(1))).toBeLessThan(2);
      expect(steps[0]).toBeLessThanOrEqual(1 + 8 * share + 1e-9);
    }),
  );
});
