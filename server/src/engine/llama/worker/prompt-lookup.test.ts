import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DraftPolicy, lookUp } from './prompt-lookup.js';

describe('looking up', () => {
  test('gives what followed the last place where the end stood before', () => {
    expect(lookUp([1, 2, 3, 9, 8, 1, 2, 3, 7, 6, 1, 2, 3], { most: 2 })).toEqual([7, 6]);
    expect(lookUp([1, 2, 3, 4], { most: 2 })).toEqual([]);
    expect(lookUp([5, 5, 5, 5, 5], { most: 4 })).toEqual([5]);
    expect(lookUp([1, 2, 3, 1, 2, 3], { most: 0 })).toEqual([]);
  });

  test('what it gives stood there, and is no longer than asked', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 60 }),
        fc.integer({ min: 0, max: 8 }),
        (tokens, most) => {
          const found = lookUp(tokens, { most });
          expect(found.length).toBeLessThanOrEqual(most);
          if (found.length === 0) return;
          const needle = [...tokens.slice(-3), ...found].join(',');
          expect(`,${tokens.join(',')},`).toContain(`,${needle},`);
        },
      ),
    );
  });
});

describe('the policy', () => {
  test('goes on while guesses are right', () => {
    const policy = new DraftPolicy(8);
    for (let step = 0; step < 100; step += 1) {
      expect(policy.next()).toBe(8);
      policy.observe(8, 7);
    }
    expect(policy.totals).toEqual({ tokens: 800, accepted: 700 });
  });

  test('stops while they are wrong, and tries ever less often', () => {
    const policy = new DraftPolicy(8);
    let guesses = 0;
    for (let step = 0; step < 2000; step += 1) {
      if (policy.next() === 0) continue;
      guesses += 1;
      policy.observe(8, 0);
    }
    expect(guesses).toBeGreaterThan(2);
    expect(guesses).toBeLessThan(40);
  });
});

test('where guesses cost by the token, their length follows how many are right', () => {
  const policy = new DraftPolicy(8, true);
  expect(policy.next()).toBe(4);
  policy.observe(4, 4);
  policy.observe(5, 5);
  expect(policy.next()).toBe(6);
  policy.observe(6, 3);
  expect(policy.next()).toBe(6);
  for (let time = 0; time < 20; time += 1) policy.observe(policy.next(), 0);
  expect(policy.next()).toBe(1);
  for (let time = 0; time < 20; time += 1) policy.observe(policy.next(), policy.next());
  expect(policy.next()).toBe(8);
});
