import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Action, type Demand, type Plan, plan, type ResidencyPolicy, type Slot } from './plan.js';

const policy: ResidencyPolicy = {
  mostLoaded: 1,
  leastStayMs: 5000,
  idleMs: 60_000,
  patienceMs: 30_000,
  retryMs: 5000,
};

describe('one decision', () => {
  const slot = (id: string, changes: Partial<Slot> = {}): Slot => ({
    id,
    state: 'absent',
    bytes: 1,
    pinned: false,
    since: 0,
    usedAt: 0,
    ...changes,
  });
  const ready = (id: string, changes: Partial<Slot> = {}): Slot => slot(id, { state: 'ready', ...changes });
  const waits = (oldestAt = 0): Demand => ({ waiting: 1, oldestAt, running: 0 });
  const runs: Demand = { waiting: 0, oldestAt: 0, running: 1 };
  const decide = (
    slots: readonly Slot[],
    demand: Readonly<Record<string, Demand>>,
    now = 0,
    changes: Partial<ResidencyPolicy> & { freeBytes?: number } = {},
  ): Plan => {
    const { freeBytes = 100, ...rest } = changes;
    return plan({ slots, demand: new Map(Object.entries(demand)), freeBytes, now }, { ...policy, ...rest });
  };

  test('a model that is wanted is loaded where there is room, the longest wait first', () => {
    const { actions } = decide([slot('a'), slot('b')], { a: waits(5), b: waits(3) }, 10, { mostLoaded: 2 });
    expect(actions).toEqual([{ kind: 'load', id: 'b' }]);
  });

  test('one load at a time', () => {
    expect(
      decide([slot('a', { state: 'loading' }), slot('b')], { b: waits() }, 0, { mostLoaded: 3 }).actions,
    ).toEqual([]);
  });

  test('the one that was used longest ago makes room', () => {
    const slots = [ready('a', { usedAt: 9 }), ready('b', { usedAt: 3 }), slot('c')];
    expect(decide(slots, { c: waits() }, 10_000, { mostLoaded: 2 }).actions).toEqual([
      { kind: 'unload', id: 'b', why: 'room' },
    ]);
  });

  test('busy and pinned models never do', () => {
    const slots = [ready('a', { pinned: true }), ready('b'), slot('c')];
    const { actions, closed } = decide(slots, { b: runs, c: waits() }, 31_000, { mostLoaded: 2 });
    expect(actions).toEqual([]);
    expect([...closed]).toEqual(['b']);
  });

  test('where all are pinned, whoever wants another is told so at once', () => {
    expect(decide([ready('a', { pinned: true }), slot('b')], { b: waits() }).actions).toEqual([
      { kind: 'refuse', id: 'b', why: 'no_room' },
    ]);
  });

  test('a model stays a while before another takes its room', () => {
    const slots = [ready('a', { since: 1000 }), slot('b')];
    expect(decide(slots, { b: waits(1000) }, 2000)).toEqual({ actions: [], closed: new Set(), nextAt: 6000 });
    expect(decide(slots, { b: waits(1000) }, 6000).actions).toEqual([
      { kind: 'unload', id: 'a', why: 'room' },
    ]);
  });

  test('memory that is short has others make room, and if there is none, the load says the figures', () => {
    const slots = [ready('a'), slot('b', { bytes: 500 })];
    expect(decide(slots, { b: waits() }, 9000, { mostLoaded: 4 }).actions).toEqual([
      { kind: 'unload', id: 'a', why: 'room' },
    ]);
    expect(decide([slot('b', { bytes: 500 })], { b: waits() }).actions).toEqual([{ kind: 'load', id: 'b' }]);
  });

  test('a model that could not be loaded is not tried again for a while', () => {
    const slots = [slot('a', { state: 'failed', since: 1000 })];
    expect(decide(slots, { a: waits(1500) }, 2000).actions).toEqual([
      { kind: 'refuse', id: 'a', why: 'failed' },
    ]);
    expect(decide(slots, { a: waits(7000) }, 7000).actions).toEqual([{ kind: 'load', id: 'a' }]);
  });

  test('what nobody uses goes after a while, unless it is pinned', () => {
    const slots = [ready('a', { usedAt: 1000 }), ready('b', { pinned: true })];
    expect(decide(slots, {}, 60_999).nextAt).toBe(61_000);
    expect(decide(slots, {}, 61_000).actions).toEqual([{ kind: 'unload', id: 'a', why: 'idle' }]);
    expect(decide(slots, {}, 61_000, { idleMs: 0 }).actions).toEqual([]);
  });
});

/** Requests against the plan, on a clock of its own. One permit a model at a time, as admission grants them. */
class World {
  readonly slots = new Map<string, Slot>();
  now = 0;
  loads = 0;
  failLoads = 0;
  readonly finished: { readonly model: string; readonly waitedMs: number }[] = [];
  readonly refused: string[] = [];
  #waiting: {
    readonly model: string;
    readonly at: number;
    readonly serviceMs: number;
    readonly leavesAt: number;
  }[] = [];
  #running: { readonly model: string; readonly endsAt: number }[] = [];
  #timers: { readonly at: number; readonly run: () => void }[] = [];
  #closed: ReadonlySet<string> = new Set();

  constructor(
    readonly rules: ResidencyPolicy,
    readonly loadMs: number,
    readonly permits = 1,
  ) {}

  add(id: string, pinned = false): void {
    this.slots.set(id, { id, state: 'absent', bytes: 1, pinned, since: 0, usedAt: 0 });
  }

  arrive(at: number, model: string, serviceMs: number, leavesAfterMs = Infinity): void {
    this.#timers.push({
      at,
      run: () => void this.#waiting.push({ model, at, serviceMs, leavesAt: at + leavesAfterMs }),
    });
    if (leavesAfterMs !== Infinity) this.#timers.push({ at: at + leavesAfterMs, run: () => undefined });
  }

  /** Lets everything happen until nothing is left to happen, or `untilMs`. */
  run(untilMs = 10_000_000): void {
    for (;;) {
      this.#settle();
      const next = Math.min(...this.#timers.map(({ at }) => at));
      if (next === Infinity || next > untilMs) return;
      this.now = next;
      const due = this.#timers.filter(({ at }) => at <= next);
      this.#timers = this.#timers.filter(({ at }) => at > next);
      for (const { run } of due) run();
    }
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  #settle(): void {
    this.#waiting = this.#waiting.filter(({ leavesAt }) => leavesAt > this.now);
    for (let round = 0; round < 100; round += 1) {
      this.#start();
      const decided = plan(this.#situation(), this.rules);
      this.#closed = decided.closed;
      if (decided.nextAt !== undefined && decided.nextAt > this.now) {
        this.#timers.push({ at: decided.nextAt, run: () => undefined });
      }
      if (decided.actions.length === 0) return;
      for (const action of decided.actions) this.#act(action);
    }
    throw new Error('the plan does not come to rest');
  }

  #situation() {
    const demand = new Map<string, Demand>();
    for (const id of this.slots.keys()) {
      const waiting = this.#waiting.filter(({ model }) => model === id);
      demand.set(id, {
        waiting: waiting.length,
        oldestAt: waiting[0]?.at ?? Infinity,
        running: this.#running.filter(({ model }) => model === id).length,
      });
    }
    return { slots: [...this.slots.values()], demand, freeBytes: 100, now: this.now };
  }

  #start(): void {
    for (const job of [...this.#waiting]) {
      if (this.#running.length >= this.permits) return;
      if (this.slots.get(job.model)?.state !== 'ready' || this.#closed.has(job.model)) continue;
      this.#waiting = this.#waiting.filter((other) => other !== job);
      const running = { model: job.model, endsAt: this.now + job.serviceMs };
      this.#running.push(running);
      this.#set(job.model, { usedAt: this.now });
      this.#timers.push({
        at: running.endsAt,
        run: () => {
          this.#running = this.#running.filter((other) => other !== running);
          this.#set(job.model, { usedAt: this.now });
          this.finished.push({ model: job.model, waitedMs: running.endsAt - job.serviceMs - job.at });
        },
      });
    }
  }

  #act(action: Action): void {
    const slot = this.slots.get(action.id)!;
    switch (action.kind) {
      case 'load':
        expect([...this.slots.values()].filter(({ state }) => state === 'loading')).toEqual([]);
        expect(['absent', 'failed']).toContain(slot.state);
        this.loads += 1;
        this.#set(action.id, { state: 'loading', since: this.now });
        this.#timers.push({
          at: this.now + this.loadMs,
          run: () => {
            const state = this.failLoads > 0 ? 'failed' : 'ready';
            this.failLoads = Math.max(0, this.failLoads - 1);
            this.#set(action.id, { state, since: this.now, usedAt: this.now });
          },
        });
        return;
      case 'unload':
        // Never a busy one, never a pinned one.
        expect(slot).toMatchObject({ state: 'ready', pinned: false });
        expect(this.#running.filter(({ model }) => model === action.id)).toEqual([]);
        this.#set(action.id, { state: 'unloading', since: this.now });
        this.#timers.push({
          at: this.now + 10,
          run: () => this.#set(action.id, { state: 'absent', since: this.now }),
        });
        return;
      case 'refuse':
        for (const { model } of this.#waiting) if (model === action.id) this.refused.push(model);
        this.#waiting = this.#waiting.filter(({ model }) => model !== action.id);
    }
  }

  #set(id: string, changes: Partial<Slot>): void {
    this.slots.set(id, { ...this.slots.get(id)!, ...changes });
    expect([...this.slots.values()].filter(({ state }) => state === 'ready').length).toBeLessThanOrEqual(
      this.rules.mostLoaded,
    );
  }
}

describe('patterns of use (P10)', () => {
  function world(changes: Partial<ResidencyPolicy> = {}, permits = 1): World {
    const made = new World({ ...policy, ...changes }, 500, permits);
    for (const id of ['a', 'b', 'c']) made.add(id);
    return made;
  }

  test('ABC × 10 that arrive at once cost three loads', () => {
    const made = world();
    for (let round = 0; round < 10; round += 1) for (const id of ['a', 'b', 'c']) made.arrive(0, id, 100);
    made.run();
    expect(made.finished).toHaveLength(30);
    expect(made.loads).toBe(3);
  });

  test('ABC × 10 one after the other cost one load each at most, and three where there is room for three', () => {
    const made = world({ mostLoaded: 3 });
    for (let index = 0; index < 30; index += 1) made.arrive(index * 50, ['a', 'b', 'c'][index % 3]!, 20);
    made.run();
    expect(made.loads).toBe(3);
  });

  test('a trickle that keeps one model busy for ever does not starve another', () => {
    const made = world();
    for (let at = 0; at < 300_000; at += 90) made.arrive(at, 'a', 100);
    made.arrive(1000, 'b', 100);
    made.run(300_000);
    const [b] = made.finished.filter(({ model }) => model === 'b');
    // Its patience, what runs, the way out of the one and the way in of the other.
    expect(b?.waitedMs).toBeGreaterThanOrEqual(30_000);
    expect(b?.waitedMs).toBeLessThan(30_000 + 100 + 10 + 500 + 100);
  });

  test('two models that are asked for in turns swap no faster than they may', () => {
    const made = world();
    for (let at = 0; at < 100_000; at += 100) made.arrive(at, at % 200 === 0 ? 'a' : 'b', 10);
    made.run();
    expect(made.finished).toHaveLength(1000);
    expect(made.loads).toBeLessThanOrEqual(100_000 / policy.leastStayMs + 2);
  });

  test('a load goes on when its first requester leaves, and serves the next', () => {
    const made = world();
    made.arrive(0, 'a', 100, 100);
    made.arrive(200, 'a', 100);
    made.run(5000);
    expect(made.loads).toBe(1);
    expect(made.finished).toEqual([{ model: 'a', waitedMs: 300 }]);
  });

  test('a load that fails ends those who wait for it, and nobody else', () => {
    const made = world({ mostLoaded: 2 });
    made.failLoads = 1;
    made.arrive(0, 'a', 100);
    made.arrive(0, 'a', 100);
    made.arrive(0, 'b', 100);
    made.run(4000);
    expect(made.refused).toEqual(['a', 'a']);
    expect(made.finished.map(({ model }) => model)).toEqual(['b']);
  });

  test('whatever comes: never more loaded than may be, nothing busy unloaded, and nobody left waiting', () => {
    const request = fc.record({
      at: fc.integer({ min: 0, max: 50_000 }),
      model: fc.constantFrom('a', 'b', 'c'),
      serviceMs: fc.integer({ min: 1, max: 5000 }),
      leaves: fc.option(fc.integer({ min: 1, max: 20_000 }), { nil: Infinity }),
    });
    fc.assert(
      fc.property(
        fc.array(request, { maxLength: 40 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.nat(3),
        (requests, mostLoaded, permits, failLoads) => {
          const made = world({ mostLoaded }, permits);
          made.failLoads = failLoads;
          for (const { at, model, serviceMs, leaves } of requests) made.arrive(at, model, serviceMs, leaves);
          made.run();
          expect(made.waiting).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });
});
