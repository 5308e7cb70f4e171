import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PrefillPace } from './prefill-pace.js';

/** How long a step takes: so much for the decodes, and so much for each token of a prompt. */
interface Machine {
  readonly decodeMs: number;
  readonly tokenMs: number;
  /** By how much each step makes the decodes of the next ones dearer. Default: 0. */
  readonly growthMs?: number;
}

/** Evaluates a prompt beside `decoding` streams; gives the steps that it took, by how much longer each was than one without. */
function evaluate(
  pace: PrefillPace,
  { decodeMs, tokenMs, growthMs = 0 }: Machine,
  tokens: number,
  decoding: number,
): number[] {
  for (let step = 0; step < 3; step += 1) pace.observe(decoding, 0, decodeMs);
  const steps: number[] = [];
  for (let rest = tokens; rest > 0;) {
    const piece = Math.min(rest, pace.budget(decoding));
    const alone = decodeMs + steps.length * growthMs;
    const milliseconds = alone + piece * tokenMs;
    pace.observe(decoding, piece, milliseconds);
    steps.push(milliseconds / alone);
    rest -= piece;
    // A loop without end would hold the test up.
    expect(steps.length).toBeLessThan(10 * tokens);
  }
  return steps;
}

test('while a prompt of 8000 is evaluated, each step of the others takes less than twice as long', () => {
  const steps = evaluate(new PrefillPace({ most: 512 }), { decodeMs: 10, tokenMs: 0.5 }, 8000, 4);
  expect(Math.max(...steps)).toBeLessThan(2);
  // And no piece is smaller than it has to be: 16 tokens fit into a step.
  expect(steps.length).toBeLessThan((8000 / 16) * 1.2);
});

test('streams whose contexts grow do not make the prompt beside them look dear, and starve it', () => {
  // A stream that takes four times as long after 2000 tokens, as one of 135M does.
  const machine = { decodeMs: 11, tokenMs: 2, growthMs: 33 / 2000 };
  const steps = evaluate(new PrefillPace({ most: 512 }), machine, 8000, 1);
  // Of the first nothing is known yet.
  expect(Math.max(...steps.slice(1))).toBeLessThan(2);
  // Four tokens fit into the first steps, ten and more into the later ones.
  expect(steps.length).toBeLessThan(8000 / 5);
});

test('streams that got dearer since they were last alone are known as such after a few looks', () => {
  const pace = new PrefillPace({ most: 512 });
  evaluate(pace, { decodeMs: 10, tokenMs: 1 }, 100, 1);
  const dearer = (): number => {
    const piece = pace.budget(1);
    pace.observe(1, piece, 40 + piece);
    return piece;
  };
  const pieces = Array.from({ length: 120 }, dearer);
  // 0.8 × 40 tokens fit, once the price of a token is known again too.
  expect(pieces.slice(-10).filter((piece) => piece > 24)).not.toHaveLength(0);
});

test('a stream that comes while a prompt is evaluated is measured too', () => {
  const pace = new PrefillPace({ most: 512 });
  evaluate(pace, { decodeMs: 10, tokenMs: 1 }, 100, 1);
  const tokens = Array.from({ length: 30 }, () => {
    const piece = pace.budget(2);
    pace.observe(2, piece, 40 + piece);
    return piece;
  });
  expect(tokens).toContain(0);
  expect(tokens.at(-1)).toBe(32);
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
