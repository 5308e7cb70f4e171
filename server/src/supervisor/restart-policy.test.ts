import { expect, test } from 'vitest';
import { RestartPolicy, defaultRestartOptions, fixedRestarts } from './restart-policy.js';

/** Deaths in a row, each after `readyMs` of service; the delays until the budget is spent. */
function delays(policy: RestartPolicy, readyMs: number, deaths: number): readonly (number | undefined)[] {
  let current: RestartPolicy | undefined = policy;
  return Array.from({ length: deaths }, () => {
    const restart: ReturnType<RestartPolicy['afterDeath']> = current?.afterDeath(readyMs);
    current = restart?.next;
    return restart?.delayMs;
  });
}

test('row 117: three restarts with 0.5, 1 and 2 seconds between, then no more', () => {
  expect(delays(new RestartPolicy(), 0, 4)).toEqual([500, 1000, 2000, undefined]);
});

test('row 117: the pause never exceeds 30 seconds', () => {
  const many = new RestartPolicy({ ...defaultRestartOptions, budget: 100 });
  expect(Math.max(...delays(many, 0, 100).map((delay) => delay ?? 0))).toBe(30_000);
});

test('row 118: the budget is back after 30 seconds of service and not before', () => {
  expect(delays(new RestartPolicy(), 30_000, 10)).toEqual(Array(10).fill(500));
  expect(delays(new RestartPolicy(), 29_999, 4)).toEqual([500, 1000, 2000, undefined]);
});

test('a policy is a value: asking it twice gives the same', () => {
  const policy = new RestartPolicy();
  expect(policy.afterDeath(0)?.delayMs).toBe(policy.afterDeath(0)?.delayMs);
});

test('row 119: a fixed delay stays the same, and good service gives no restart back', () => {
  expect(delays(new RestartPolicy(fixedRestarts(2, 5000)), 3_600_000, 3)).toEqual([5000, 5000, undefined]);
});
