import { expect, test } from 'vitest';
import { StepTimes } from './step-times.js';

test('each width has times of its own, and only the latest count', () => {
  const times = new StepTimes();
  for (let step = 0; step < 100; step += 1) times.add(1, step < 85 ? 50 : 10);
  times.add(4, 20);
  expect(times.median(1)).toBe(10);
  expect(times.median(4)).toBe(20);
  expect(times.count(1)).toBe(15);
});

test('of a width that was never timed the others give a bound', () => {
  const times = new StepTimes();
  expect(times.bound(3)).toBeUndefined();
  times.add(2, 10);
  expect(times.bound(1)).toBe(10);
  expect(times.bound(8)).toBe(40);
  times.add(8, 25);
  expect(times.bound(4)).toBe(20);
  expect(times.bound(6)).toBe(25);
});

test('however many widths there are, it keeps few', () => {
  const times = new StepTimes();
  for (let width = 1; width <= 256; width += 1) times.add(width, width);
  expect(times.count(200)).toBe(15);
  expect(times.median(300)).toBeUndefined();
});
