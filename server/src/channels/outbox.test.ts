import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Entry, type Lane, Outbox, SharedBudget } from './outbox.js';

const entry = (text: string, bytes = text.length): Entry => ({
  bytes,
  render: (seq) => `${text}#${seq}\n`,
});

/** An outbox whose peer takes writes when it is told to. */
function outbox(
  limits: { entries?: number; bytes?: number; outboundBytes?: number } = {},
  shared = 1_000_000,
) {
  const written: string[] = [];
  const waiting: (() => void)[] = [];
  let oversized = 0;
  const budget = new SharedBudget(shared);
  const box = new Outbox({
    limits: { entries: 8, bytes: 1000, outboundBytes: 10_000, ...limits },
    shared: budget,
    write: async (text) => {
      written.push(text);
      await new Promise<void>((resolve) => waiting.push(resolve));
    },
    onOversized: () => (oversized += 1),
  });
  const shed: string[] = [];
  const open = (name: string, options: { maxInFlight?: number; latestOnly?: boolean } = {}): Lane =>
    box.open({ maxInFlight: Infinity, latestOnly: false, onShed: () => shed.push(name), ...options });
  return {
    box,
    open,
    shed,
    written,
    budget,
    takeAll: () => {
      for (const take of waiting.splice(0)) take();
    },
    oversized: () => oversized,
    lines: () => written.join('').split('\n').slice(0, -1),
  };
}

const turn = async (): Promise<void> => {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
};

describe('what waits for one connection', () => {
  it('goes out in order, numbered, and no further than is acknowledged', async () => {
    const { open, lines } = outbox();
    const lane = open('a', { maxInFlight: 2 });
    for (const text of ['x', 'y', 'z']) lane.push(entry(text));
    await turn();
    expect(lines()).toEqual(['x#1', 'y#2']);
    expect(lane.acknowledge(3)).toBe(false);
    expect(lane.acknowledge(1)).toBe(true);
    await turn();
    expect(lines()).toEqual(['x#1', 'y#2', 'z#3']);
  });

  it('lanes take turns', async () => {
    const { open, lines } = outbox();
    const [one, two] = [open('1'), open('2')];
    for (const text of ['a', 'b']) one.push(entry(text));
    for (const text of ['c', 'd']) two.push(entry(text));
    await turn();
    expect(lines()).toEqual(['a#1', 'c#1', 'b#2', 'd#2']);
  });

  it('row 157: the lane that holds most is shed, not the one that comes last', () => {
    const { open, shed, box } = outbox({ entries: 4 });
    const greedy = open('greedy', { maxInFlight: 1 });
    const modest = open('modest', { maxInFlight: 1 });
    for (let n = 0; n < 4; n += 1) greedy.push(entry('greedy'));
    expect(modest.push(entry('m'))).toBe(true);
    expect(shed).toEqual(['greedy']);
    expect(greedy.push(entry('more'))).toBe(false);
    expect(box.entries).toBe(1);
  });

  it('row 157: bytes of all connections together are a bound too, given back by whoever ends', () => {
    const { open, shed, budget } = outbox({}, 100);
    const lane = open('a', { maxInFlight: 1 });
    lane.push(entry('x', 60));
    expect(lane.push(entry('y', 60))).toBe(false);
    expect(shed).toEqual(['a']);
    expect(budget.used).toBe(0);
  });

  it('row 158: what is longer than the connection may take ends it', () => {
    const { open, oversized, shed } = outbox({ bytes: 1_000_000, outboundBytes: 1024 });
    expect(open('a').push(entry('x', 1025))).toBe(false);
    expect(oversized()).toBe(1);
    expect(shed).toEqual([]);
  });

  it('of a state only the latest waits', async () => {
    const { open, lines } = outbox();
    const lane = open('state', { maxInFlight: 1, latestOnly: true });
    lane.push(entry('first'));
    await turn();
    for (const text of ['second', 'third', 'fourth']) lane.push(entry(text));
    lane.acknowledge(1);
    await turn();
    expect(lines()).toEqual(['first#1', 'fourth#2']);
  });

  it('a peer that takes nothing is handed no more than may be under way', async () => {
    const { open, written, takeAll } = outbox({ entries: 1000, bytes: 1_000_000, outboundBytes: 64 });
    const lane = open('a');
    for (let n = 0; n < 500; n += 1) lane.push(entry('0123456789'));
    await turn();
    const before = written.join('').length;
    expect(before).toBeLessThan(64 + 32 * 16);
    takeAll();
    await turn();
    expect(written.join('').length).toBeGreaterThan(before);
  });

  it('a last entry goes out, and then the lane is over', async () => {
    const { open, lines, shed } = outbox();
    const lane = open('a');
    lane.push(entry('x'));
    lane.finish(entry('end'));
    expect(lane.push(entry('late'))).toBe(false);
    await turn();
    expect(lines()).toEqual(['x#1', 'end#2']);
    expect(lane.isClosed).toBe(true);
    expect(shed).toEqual([]);
  });

  it('whatever is pushed, acknowledged and closed, the bounds hold and the accounts come out even', async () => {
    const action = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constant('push' as const),
          lane: fc.nat(3),
          bytes: fc.integer({ min: 1, max: 400 }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('ack' as const), lane: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('close' as const), lane: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 80 }), async (actions) => {
        const { box, open, budget, takeAll } = outbox({}, 900);
        const lanes = Array.from({ length: 4 }, (_, n) => open(String(n), { maxInFlight: n + 1 }));
        for (const step of actions) {
          if (step.kind === 'turn') {
            takeAll();
            await turn();
          } else if (step.kind === 'push') lanes[step.lane]?.push(entry('x', step.bytes));
          else if (step.kind === 'ack') lanes[step.lane]?.acknowledge(lanes[step.lane]?.sent ?? 0);
          else {
            lanes[step.lane]?.close();
            lanes[step.lane] = open('again', { maxInFlight: 1 });
          }
          expect(box.entries).toBeLessThanOrEqual(8);
          expect(box.bytes).toBeLessThanOrEqual(900);
          expect(budget.used).toBe(box.bytes);
        }
        box.close();
        expect(box.entries).toBe(0);
        expect(budget.used).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
