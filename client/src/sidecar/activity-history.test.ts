import type { ActivityRecord } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { appendActivity, mostActivity } from './activity-history.js';

const record = (t: string): ActivityRecord => ({
  t,
  level: 'info',
  component: 'daemon',
  msg: 'daemon_ready',
  startup_ms: 1,
});

describe('the history of activity', () => {
  it('keeps the newest five hundred', () => {
    const many = Array.from({ length: mostActivity }, (_, index) => record(String(index)));
    const all = appendActivity(many, [record('x')], false);
    expect(all).toHaveLength(mostActivity);
    expect(all.at(-1)?.t).toBe('x');
  });

  it('does not repeat what a new connection tells again', () => {
    const all = appendActivity([record('1'), record('2')], [record('1'), record('2'), record('3')], true);
    expect(all.map(({ t }) => t)).toEqual(['1', '2', '3']);
  });
});
