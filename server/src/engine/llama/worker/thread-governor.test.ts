import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ThreadGovernor } from './thread-governor.js';

/** Feeds steps of `milliseconds` one after the other; gives the threads after each and the clock. */
function feed(
  governor: ThreadGovernor,
  steps: readonly number[],
  start = 0,
  width = 1,
): { threads: readonly number[]; now: number } {
  let now = start;
  const threads = steps.map((milliseconds) => {
    now += milliseconds;
    return governor.observe({ width, milliseconds, now });
  });
  return { threads, now };
}

const calm = Array<number>(20).fill(10);
/** What a measurement before gave; so it need not compare. */
const known = { narrowMs: 30, wideMs: 10 };

test('given calm steps, it stays wide', () => {
  expect(feed(new ThreadGovernor({ widest: 4, known }), calm).threads).toEqual(Array(20).fill(4));
});

test('given one step that takes far longer, it goes down to one thread at once', () => {
  const governor = new ThreadGovernor({ widest: 4, known });
  feed(governor, calm);
  expect(governor.observe({ width: 1, milliseconds: 500, now: 1000 })).toBe(1);
});

test('given some steps that gain nothing from the threads, it goes down too; given one such step, it does not', () => {
  const governor = new ThreadGovernor({ widest: 2, known });
  const { now } = feed(governor, calm);
  expect(feed(governor, [25, 10, 25, 25, 10], now).threads).toEqual([2, 2, 2, 2, 2]);
  expect(feed(governor, [25, 25, 25], now).threads).toEqual([2, 2, 1]);
});

test('a narrow step is measured alone, so a few wide ones that take about as long are no reason; many are', () => {
  const governor = new ThreadGovernor({ widest: 2, known: { narrowMs: 12, wideMs: 10 } });
  const { now } = feed(governor, calm);
  const { threads, now: later } = feed(governor, [12.5, 13, 12.5, 10, 10, 12.5, 13, 13, 10], now);
  expect(new Set(threads)).toEqual(new Set([2]));
  expect(feed(governor, Array<number>(20).fill(12.5), later).threads.at(-1)).toBe(1);
});

test('what a step takes is expected by the steps before it, with the threads that it will have', () => {
  const governor = new ThreadGovernor({ widest: 2, known: { narrowMs: 18, wideMs: 10 } });
  expect(governor.expectedMs(1)).toBe(10);
  expect(governor.expectedMs(3)).toBe(30);
  const { now } = feed(governor, [11, 11, 11]);
  expect(governor.expectedMs(1)).toBe(11);
  feed(governor, [500, 20, 22, 24], now);
  expect(governor.threads).toBe(1);
  expect(governor.expectedMs(1)).toBe(22);
  expect(new ThreadGovernor({ widest: 2 }).expectedMs(1)).toBeUndefined();
  const single = new ThreadGovernor({ widest: 1 });
  feed(single, [30, 31, 32]);
  expect(single.expectedMs(1)).toBe(31);
});

test('it tries wide again later, and each time the pause is longer', () => {
  const governor = new ThreadGovernor({ widest: 4, retryMs: 1000, known });
  feed(governor, calm);
  const step = (milliseconds: number, now: number) => governor.observe({ width: 1, milliseconds, now });
  expect(step(500, 10_000)).toBe(1);
  for (let count = 0; count < 3; count += 1) expect(step(12, 10_900)).toBe(1);
  expect(step(12, 10_999)).toBe(1);
  expect(step(12, 11_000)).toBe(4);
  expect(step(500, 11_500)).toBe(1);
  expect(step(12, 12_600)).toBe(1);
  expect(step(12, 13_500)).toBe(4);
});

test('where nothing was measured before, it compares once, and keeps what is faster', () => {
  const governor = new ThreadGovernor({ widest: 4 });
  const threads: number[] = [];
  for (let now = 0; now < 1000; now += 10) {
    threads.push(governor.threads);
    governor.observe({ width: 1, milliseconds: governor.threads === 4 ? 6 : 10, now });
  }
  expect(threads.filter((count) => count === 1)).toHaveLength(3);
  expect(threads.at(-1)).toBe(4);
});

test('a step is given up where it takes four times the usual, a trial where it takes half as long again', () => {
  const governor = new ThreadGovernor({ widest: 2, known: { narrowMs: 40, wideMs: 30 }, retryMs: 100 });
  expect(governor.giveUpAfter(1)).toBe(120);
  expect(governor.giveUpAfter(4)).toBe(480);
  expect(governor.observe({ width: 1, milliseconds: 121, now: 121 })).toBe(1);
  expect(governor.giveUpAfter(1)).toBeUndefined();
  feed(governor, [40, 40, 40], 1000);
  expect(governor.threads).toBe(2);
  expect(governor.giveUpAfter(1)).toBe(60);
  expect(governor.observe({ width: 1, milliseconds: 61, now: 2000 })).toBe(1);
});

test('what takes a few milliseconds is given up after twenty, and what is not known never', () => {
  expect(new ThreadGovernor({ widest: 2, known: { narrowMs: 4, wideMs: 3 } }).giveUpAfter(1)).toBe(20);
  expect(new ThreadGovernor({ widest: 2 }).giveUpAfter(1)).toBeUndefined();
  expect(new ThreadGovernor({ widest: 1, known }).giveUpAfter(1)).toBeUndefined();
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

test('begun with the width that was the fastest, it never takes more', () => {
  const governor = new ThreadGovernor({ widest: 8, first: 4, retryMs: 100, known });
  expect(governor.threads).toBe(4);
  const { now } = feed(governor, [...calm, 500]);
  const { threads } = feed(governor, Array<number>(200).fill(10), now);
  expect(new Set(threads)).toEqual(new Set([1, 4]));
});

test('given that wide is no faster, it goes back after a few steps and tries ever less often', () => {
  const governor = new ThreadGovernor({ widest: 4, first: 1 });
  let wide = 0;
  for (let step = 0; step < 2000; step += 1) {
    if (governor.threads === 4) wide += 1;
    governor.observe({ width: 1, milliseconds: 10, now: 10 * step });
  }
  expect(wide).toBeGreaterThan(0);
  expect(wide).toBeLessThan(40);
});

test('a trial beside a busy core costs one slow step', () => {
  const governor = new ThreadGovernor({ widest: 2, first: 1, retryMs: 1000 });
  const { now } = feed(governor, Array<number>(101).fill(10));
  expect(governor.threads).toBe(2);
  expect(governor.observe({ width: 1, milliseconds: 300, now: now + 300 })).toBe(1);
});

test('told that there is no room, it tries once in a minute; told that there is again, at once', () => {
  const governor = new ThreadGovernor({ widest: 2, first: 1 });
  let wide = 0;
  const minute = (start: number, hasRoom: boolean) => {
    for (let now = start; now < start + 60_000; now += 10) {
      if (governor.threads === 2) wide += 1;
      governor.observe({ width: 1, milliseconds: governor.threads === 2 ? 300 : 10, now, hasRoom });
    }
  };
  minute(0, false);
  minute(60_000, false);
  expect(wide).toBe(1);
  expect(governor.observe({ width: 1, milliseconds: 10, now: 120_000, hasRoom: true })).toBe(2);
});

test('requests that come and go do not keep it from going wide', () => {
  const governor = new ThreadGovernor({ widest: 2, first: 1 });
  let now = 0;
  for (let step = 0; step < 60; step += 1) {
    const width = 1 + (step % 4);
    const milliseconds = (governor.threads === 2 ? 6 : 10) * width;
    now += milliseconds;
    governor.observe({ width, milliseconds, now });
  }
  expect(governor.threads).toBe(2);
});

test('steps of a width that was never timed are judged by those of others', () => {
  const governor = new ThreadGovernor({ widest: 2, known });
  const { now } = feed(governor, calm);
  // Eight sequences may take eight times as long, and a little more.
  expect(feed(governor, [80, 80], now, 8).threads).toEqual([2, 2]);
  expect(feed(new ThreadGovernor({ widest: 2, known }), [], now).threads).toEqual([]);
  const other = new ThreadGovernor({ widest: 2, known });
  feed(other, calm, 0, 8);
  expect(feed(other, [50], now).threads).toEqual([1]);
});

/** A machine with two cores: how long a step takes with one thread and with two, as measured with a small model. */
interface Times {
  readonly narrow: number;
  readonly wide: number;
}
const quiet: Readonly<Record<number, Times>> = { 1: { narrow: 7.5, wide: 6.5 }, 8: { narrow: 47, wide: 27 } };
const busy: Readonly<Record<number, Times>> = { 1: { narrow: 7.5, wide: 35 }, 8: { narrow: 47, wide: 95 } };

/** Steps a second, of the best that one width alone gives in each phase. `noise`: factors, one a step. */
function share(
  governor: ThreadGovernor,
  phases: readonly (readonly [Readonly<Record<number, Times>>, number])[],
  width: number,
  noise: (step: number) => number = () => 1,
): number {
  let [now, best, step] = [0, 0, 0];
  for (const [machine, steps] of phases) {
    const { narrow, wide } = machine[width] ?? { narrow: 1, wide: 1 };
    for (let count = 0; count < steps; count += 1, step += 1) {
      const factor = noise(step);
      const milliseconds = (governor.threads === 1 ? narrow : wide) * factor;
      now += milliseconds;
      best += Math.min(narrow, wide) * factor;
      governor.observe({ width, milliseconds, now });
    }
  }
  return best / now;
}

test.each([1, 8])('beside a busy core %i streams keep most of the best fixed width', (width) => {
  const measured = { narrowMs: 7.5, wideMs: 6.5 };
  expect(share(new ThreadGovernor({ widest: 2 }), [[busy, 500]], width)).toBeGreaterThan(0.85);
  expect(share(new ThreadGovernor({ widest: 2, known: measured }), [[busy, 500]], width)).toBeGreaterThan(
    0.85,
  );
  const phases = [
    [quiet, 200],
    [busy, 500],
  ] as const;
  expect(share(new ThreadGovernor({ widest: 2 }), phases, width)).toBeGreaterThan(0.85);
});

test.each([1, 8])('when the core is free again %i streams have both soon', (width) => {
  const governor = new ThreadGovernor({ widest: 2 });
  const phases = [
    [quiet, 200],
    [busy, 100],
    [quiet, 2000],
  ] as const;
  expect(share(governor, phases, width)).toBeGreaterThan(0.85);
  expect(governor.threads).toBe(2);
});

test('noise of a third either way does not make it narrow', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.67, max: 1.33, noNaN: true }), { minLength: 500, maxLength: 500 }),
      (noise) => {
        const governor = new ThreadGovernor({ widest: 2 });
        expect(share(governor, [[quiet, 500]], 8, (step) => noise[step] ?? 1)).toBeGreaterThan(0.95);
      },
    ),
    { numRuns: 30 },
  );
});

test('at any times and widths it gives one thread or the widest, and never stays wide while that is far slower', () => {
  const step = fc.record({
    width: fc.integer({ min: 1, max: 64 }),
    milliseconds: fc.integer({ min: 1, max: 2000 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const governor = new ThreadGovernor({ widest: 4 });
      let now = 0;
      for (const { width, milliseconds } of steps) {
        now += milliseconds;
        expect([1, 4]).toContain(governor.observe({ width, milliseconds, now }));
      }
      now = feed(governor, Array<number>(40).fill(10), now).now;
      if (governor.threads === 4) {
        expect(governor.observe({ width: 1, milliseconds: 10_000, now: now + 10_000 })).toBe(1);
      }
    }),
  );
});
