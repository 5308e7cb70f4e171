import { expect, test } from 'vitest';
import { calibrateThreads } from './calibrate.js';
import type { Calibration } from './calibrate.js';

/** `others`: cores that other work keeps busy. */
async function calibrate(
  timeOf: (threads: number) => number,
  most: number,
  others = 0,
): Promise<{ best: number; steps: number[]; calibration: Calibration }> {
  const steps: number[] = [];
  let [now, ownMs] = [0, 0];
  const calibration = await calibrateThreads(
    (threads) => {
      steps.push(threads);
      now += timeOf(threads);
      ownMs += threads * timeOf(threads);
      return Promise.resolve(timeOf(threads));
    },
    most,
    { now: () => now, read: () => ({ cores: 8, busyMs: ownMs + others * now, ownMs }) },
  );
  return { best: calibration.threads, steps, calibration };
}

test('it chooses the fastest width', async () => {
  expect((await calibrate((threads) => 100 / threads, 8)).best).toBe(8);
  expect((await calibrate((threads) => Math.abs(threads - 3) + 1, 8)).best).toBe(3);
  expect((await calibrate((threads) => threads, 8)).best).toBe(1);
});

test('it never goes beyond what it may', async () => {
  expect(Math.max(...(await calibrate(() => 1, 2)).steps)).toBe(2);
});

test('a width that is far slower is given up after two steps', async () => {
  const { steps } = await calibrate((threads) => (threads === 1 ? 10 : 500), 2);
  expect(steps.filter((threads) => threads === 2)).toHaveLength(2);
});

test('it says how long a step takes with one thread and with more', async () => {
  const { calibration } = await calibrate((threads) => 100 / threads, 4);
  expect(calibration).toMatchObject({ threads: 4, narrowMs: 100, wideMs: 25 });
});

test('measured while others kept half a core busy, it says so', async () => {
  expect((await calibrate((threads) => 100 / threads, 2)).calibration.quiet).toBe(true);
  expect((await calibrate((threads) => 100 / threads, 2, 0.5)).calibration.quiet).toBe(false);
});
