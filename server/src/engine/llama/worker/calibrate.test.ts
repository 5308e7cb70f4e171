import { expect, test } from 'vitest';
import { calibrateThreads } from './calibrate.js';

async function calibrate(
  timeOf: (threads: number) => number,
  most: number,
): Promise<{ best: number; steps: number[] }> {
  const steps: number[] = [];
  const best = await calibrateThreads((threads) => {
    steps.push(threads);
    return Promise.resolve(timeOf(threads));
  }, most);
  return { best, steps };
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
