import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { HangWatch } from './hang-watch.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function watched(): { watch: HangWatch; ping: ReturnType<typeof vi.fn>; hung: ReturnType<typeof vi.fn> } {
  const ping = vi.fn();
  const hung = vi.fn();
  return { watch: new HangWatch({ timeoutMs: 10_000, ping, hung }), ping, hung };
}

test('a silent worker with work is hung, once, after the timeout', () => {
  const { watch, hung } = watched();
  watch.setBusy(true);
  vi.advanceTimersByTime(10_000);
  expect(hung).not.toHaveBeenCalled();
  vi.advanceTimersByTime(100_000);
  expect(hung).toHaveBeenCalledOnce();
});

test('one that answers, even late, is not', () => {
  const { watch, hung } = watched();
  watch.setBusy(true);
  for (let round = 0; round < 50; round += 1) {
    vi.advanceTimersByTime(9000);
    watch.heard();
  }
  expect(hung).not.toHaveBeenCalled();
});

test('without work nothing is asked and no timer is left', () => {
  const { watch, ping } = watched();
  watch.setBusy(true);
  watch.setBusy(false);
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(100_000);
  expect(ping).not.toHaveBeenCalled();
});

test('patience stretches the timeout', () => {
  const { watch, hung } = watched();
  watch.setBusy(true, 6);
  vi.advanceTimersByTime(60_000);
  expect(hung).not.toHaveBeenCalled();
  vi.advanceTimersByTime(10_000);
  expect(hung).toHaveBeenCalledOnce();
});
