import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ThreadGovernor } from './thread-governor.js';

/** Feeds steps of `milliseconds` one after the other; gives the threads after each and the clock. */
function feed(
  governor: ThreadGovernor,
  steps: readonly number[],
  start = 0,
): { threads: readonly number[]; now: number } {
  let now = start;
  const threads = steps.map((milliseconds) => {
    now += milliseconds;
    return governor.observe(milliseconds, now);
  });
  return { threads, now };
}

const calm = Array<number>(20).fill(10);

test('given calm steps, it stays wide', () => {
  expect(feed(new ThreadGovernor({ widest: 4 }), calm).threads).toEqual(Array(20).fill(4));
});

test('given one step that takes far longer, it goes down to one thread at once', () => {
  const governor = new ThreadGovernor({ widest: 4 });
  feed(governor, calm);
  expect(governor.observe(500, 1000)).toBe(1);
});

test('it tries wide again later, and each time the pause is longer', () => {
  const governor = new ThreadGovernor({ widest: 4, retryMs: 1000 });
  feed(governor, calm);
  expect(governor.observe(500, 10_000)).toBe(1);
  for (let step = 0; step < 8; step += 1) expect(governor.observe(12, 10_900)).toBe(1);
  expect(governor.observe(12, 10_999)).toBe(1);
  expect(governor.observe(12, 11_000)).toBe(4);
  expect(governor.observe(500, 11_500)).toBe(1);
  expect(governor.observe(12, 12_600)).toBe(1);
  expect(governor.observe(12, 13_500)).toBe(4);
});

test('with one thread there is nothing to choose', () => {
  expect(
    feed(new ThreadGovernor({ widest: 1 }), [...calm, 10_000]).threads.every((count) => count === 1),
  ).toBe(true);
});

test('begun narrow, since the machine was busy, it goes wide once that is the faster', () => {
  const governor = new ThreadGovernor({ widest: 4, first: 1, retryMs: 1000 });
  expect(governor.threads).toBe(1);
  const { now } = feed(governor, Array<number>(101).fill(10));
  expect(governor.threads).toBe(4);
  feed(governor, Array<number>(60).fill(6), now);
  expect(governor.threads).toBe(4);
});

test('given that wide is no faster, it goes back after a few steps and tries ever less often', () => {
  const governor = new ThreadGovernor({ widest: 4, first: 1, retryMs: 1000 });
  let now = 0;
  let wide = 0;
  for (let step = 0; step < 2000; step += 1) {
    now += 10;
    if (governor.threads === 4) wide += 1;
    governor.observe(10, now);
  }
  expect(wide).toBeGreaterThan(0);
  expect(wide).toBeLessThan(40);
});

test('a trial beside a busy core costs one slow step', () => {
  const governor = new ThreadGovernor({ widest: 2, first: 1, retryMs: 1000 });
  const { now } = feed(governor, Array<number>(101).fill(10));
  expect(governor.threads).toBe(2);
  expect(governor.observe(300, now + 300)).toBe(1);
});

test('at any times it gives one thread or the widest, and never stays wide while that is far slower', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 2000 }), { maxLength: 300 }), (steps) => {
      const governor = new ThreadGovernor({ widest: 4 });
      const { threads, now } = feed(governor, steps);
      expect(threads.every((count) => count === 1 || count === 4)).toBe(true);
      feed(governor, Array<number>(20).fill(10), now);
      if (governor.threads === 4) expect(governor.observe(10_000, now + 10_000)).toBe(1);
    }),
  );
});

test('after a change of width, a step that is fifty times slower still narrows it, and no trial begins blindly', () => {
  const governor = new ThreadGovernor({ widest: 2, retryMs: 1000 });
  const { now } = feed(governor, calm);
  governor.reset();
  expect(governor.observe(500, now + 500)).toBe(1);
  governor.reset();
  // The pause is over, but not enough is known of narrow steps yet.
  expect(governor.observe(20, now + 10_000)).toBe(1);
});
