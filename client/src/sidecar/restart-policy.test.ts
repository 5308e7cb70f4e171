import { describe, expect, it } from 'vitest';
import { nextRestart, restartLimits } from './restart-policy.js';

describe('restarts of the sidecar', () => {
  it('come after half a second, then after twice as long each time, thirty seconds at most, eight in all', () => {
    const delays: number[] = [];
    for (let failures = 0; ; failures += 1) {
      const restart = nextRestart(failures, 0);
      if (restart === undefined) break;
      expect(restart.attempt).toBe(failures + 1);
      delays.push(restart.delayMs);
    }
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  });

  it('begin anew after a sidecar that was ready for long', () => {
    expect(nextRestart(8, restartLimits.recoveredMs)).toEqual({ attempt: 1, delayMs: 500 });
    expect(nextRestart(8, restartLimits.recoveredMs - 1)).toBeUndefined();
  });
});
