import { describe, expect, it } from 'vitest';
import { connectionBudget, ShedReport } from './connection-budget.js';

const table = (limit: number | undefined, inUse: number) => ({ limit: () => limit, inUse: () => inUse });

describe('row 165: connections and descriptors', () => {
  it('as many as there may be, where descriptors are plenty or not counted', () => {
    expect(connectionBudget(256, table(1024, 30))).toBe(256);
    expect(connectionBudget(256, table(undefined, 30))).toBe(256);
  });

  it('no more than the limit leaves, and never none', () => {
    expect(connectionBudget(256, table(100, 30))).toBe(38);
    expect(connectionBudget(256, table(40, 30))).toBe(4);
  });

  it('the first refusal is told at once, a storm of them once a second', () => {
    const told: number[] = [];
    let now = 0;
    const report = new ShedReport(
      (count) => told.push(count),
      () => now,
    );
    for (let index = 0; index < 100; index += 1) report.add();
    now = 1000;
    report.add();
    expect(told).toEqual([1, 100]);
  });
});
