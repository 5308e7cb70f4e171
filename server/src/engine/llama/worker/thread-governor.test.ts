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
