import { describe, expect, it } from 'vitest';
import {
  type BreakerState,
  closedBreaker,
  defaultBreakerPolicy as policy,
  describeBreaker,
  mayPass,
  onFailure,
  onNeutral,
  onPass,
  onSuccess,
} from './breaker.js';

function failTimes(...times: readonly number[]): BreakerState {
  return times.reduce<BreakerState>((state, time) => onFailure(state, time, policy), closedBreaker);
}

describe('the breaker', () => {
  it('row 75: three failures in 60 s open it for 30 s', () => {
    const open = failTimes(0, 20_000, 59_999);
    expect(open.kind).toBe('open');
    expect(mayPass(open, 59_999 + 29_999, policy)).toBe(false);
    expect(mayPass(open, 59_999 + 30_000, policy)).toBe(true);
  });

  it('row 75: failures further apart than 60 s do not add up', () => {
    expect(failTimes(0, 1000, 60_000).kind).toBe('closed');
  });

  it('row 75: half open lets exactly one probe pass', () => {
    const probing = onPass(failTimes(0, 0, 0));
    expect(probing.kind).toBe('probing');
    expect(mayPass(probing, 1_000_000, policy)).toBe(false);
  });

  it('row 75: a probe that succeeds closes it, with its history forgotten', () => {
    expect(onSuccess()).toEqual(closedBreaker);
  });

  it('row 75: a probe that fails opens it for another 30 s', () => {
    const again = onFailure(onPass(failTimes(0, 0, 0)), 30_000, policy);
    expect(again).toEqual({ kind: 'open', since: 30_000 });
  });

  it('a probe that was cancelled leaves the next one free to go at once', () => {
    const state = onNeutral(onPass(failTimes(0, 0, 0)), 30_000, policy);
    expect(mayPass(state, 30_000, policy)).toBe(true);
  });

  it('a failure that comes in while it is open does not prolong it', () => {
    const open = failTimes(0, 0, 0);
    expect(onFailure(open, 10_000, policy)).toEqual(open);
  });

  it('is described as health shows it', () => {
    const open = failTimes(0, 0, 0);
    expect(describeBreaker(closedBreaker, 0, policy)).toBe('closed');
    expect(describeBreaker(open, 1, policy)).toBe('open');
    expect(describeBreaker(open, 30_000, policy)).toBe('half_open');
    expect(describeBreaker(onPass(open), 30_000, policy)).toBe('half_open');
  });
});
