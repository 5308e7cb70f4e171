import { afterEach, expect, test } from 'vitest';
import { StepWatch } from './step-watch.js';

/** Steps that hold up their thread, as a decode does, and look at the flag as it does. */

const watches: StepWatch[] = [];
afterEach(async () => {
  await Promise.all(watches.splice(0).map((watch) => watch.close()));
});

function makeWatch(): StepWatch {
  const watch = new StepWatch();
  watches.push(watch);
  return watch;
}

/** Works until the flag is set, or for so many milliseconds; gives whether it was set. */
function work({ flag }: StepWatch, milliseconds: number): boolean {
  const end = performance.now() + milliseconds;
  while (performance.now() < end) if (Atomics.load(flag, 0) !== 0) return true;
  return false;
}

const patienceMs = 20_000;

test('a step that takes too long is told to end, each time', { timeout: 60_000 }, () => {
  const watch = makeWatch();
  for (let step = 0; step < 3; step += 1) {
    watch.flag[0] = 0;
    expect(watch.during(5, () => work(watch, patienceMs))).toBe(true);
  }
});

test('it is told so after a pause too, in which the watch slept', { timeout: 60_000 }, async () => {
  const watch = makeWatch();
  expect(watch.during(1, () => work(watch, patienceMs))).toBe(true);
  watch.flag[0] = 0;
  for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  expect(watch.during(1, () => work(watch, patienceMs))).toBe(true);
});

test('steps within their time go on, however many follow each other', { timeout: 60_000 }, () => {
  const watch = makeWatch();
  // A watch that took them for one would end it.
  const told = Array.from({ length: 100 }, () => watch.during(5000, () => work(watch, 2)));
  expect(told.some(Boolean)).toBe(false);
});

test('a step may be given all the time it needs, and gives its result or its error', () => {
  const watch = makeWatch();
  expect(watch.during(Infinity, () => work(watch, 50))).toBe(false);
  expect(watch.during(1000, () => 'result')).toBe('result');
  expect(() =>
    watch.during(1000, () => {
      throw new Error('its error');
    }),
  ).toThrow('its error');
});

test('after its end it says that nobody watches', async () => {
  const watch = makeWatch();
  expect(watch.isAlive).toBe(true);
  await watch.close();
  expect(watch.isAlive).toBe(false);
});
