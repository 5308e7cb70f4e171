import type { ActivityEvent } from '@hearth/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Refusals } from './refusals.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function begin() {
  const told: ActivityEvent[] = [];
  return { told, refusals: new Refusals((_level, _component, event) => told.push(event)) };
}

test('given a flood of refusals, then the first is told at once and the others of a second together', () => {
  const { told, refusals } = begin();
  for (let index = 0; index < 1000; index += 1) refusals.add(403);
  refusals.add(401);
  expect(told).toEqual([
    { msg: 'http_refused', status: 403, count: 1 },
    { msg: 'http_refused', status: 401, count: 1 },
  ]);
  vi.advanceTimersByTime(1000);
  expect(told.slice(2)).toEqual([{ msg: 'http_refused', status: 403, count: 999 }]);
  refusals.add(403);
  expect(told).toHaveLength(4);
  expect([...refusals.totals]).toEqual([
    [403, 1001],
    [401, 1],
  ]);
});

test('given the end, then what was not told yet is told, and nothing later', () => {
  const { told, refusals } = begin();
  refusals.add(400);
  refusals.add(400);
  refusals.close();
  vi.advanceTimersByTime(60_000);
  expect(told).toEqual([
    { msg: 'http_refused', status: 400, count: 1 },
    { msg: 'http_refused', status: 400, count: 1 },
  ]);
});
