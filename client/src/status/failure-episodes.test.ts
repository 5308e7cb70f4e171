import { describe, expect, it } from 'vitest';
import type { SidecarState } from '../sidecar/state.js';
import { testModel } from '../sidecar/test-health.js';
import { episodeAfter, type Episode } from './failure-episodes.js';

/** The messages that a person gets for a run of states. */
function messages(...states: readonly SidecarState[]): readonly string[] {
  let episode: Episode = 'none';
  return states.flatMap((state) => {
    const next = episodeAfter(episode, state);
    episode = next.episode;
    return next.message === undefined ? [] : [next.message];
  });
}

const restarting = (attempt: number): SidecarState => ({
  kind: 'restarting',
  attempt,
  delayMs: 1,
  reason: 'Killed.',
});
const ready: SidecarState = { kind: 'ready', model: testModel };
const failed: SidecarState = { kind: 'failed', reason: 'No memory.' };

describe('messages about failures', () => {
  it('do not come for a failure that heals by itself', () => {
    expect(messages(ready, restarting(1), ready, restarting(1), restarting(2), ready)).toEqual([]);
  });

  it('come once in a run of failures, also where it gets worse', () => {
    expect(messages(restarting(3), restarting(4), failed, failed)).toEqual([
      'Hearth keeps failing and is being restarted. Killed.',
    ]);
  });

  it('come at once where it has failed for good, and again in the next run', () => {
    expect(messages(failed, { kind: 'starting' }, failed, ready, failed)).toEqual([
      'Hearth could not start. No memory.',
      'Hearth could not start. No memory.',
    ]);
  });
});
