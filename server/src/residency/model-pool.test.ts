import { EventEmitter } from 'node:events';
import type { BackendState, HearthError } from '@hearth/protocol';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Engine } from '../engine/engine.js';
import { MockEngine } from '../engine/mock/mock-engine.js';
import { ModelPool } from './model-pool.js';
import type { Demand, ResidencyPolicy } from './plan.js';

/** The pool over engines that do what the test says, on a clock that the test turns. */

const policy: ResidencyPolicy = {
  mostLoaded: 1,
  leastStayMs: 0,
  idleMs: 60_000,
  patienceMs: 30_000,
  retryMs: 5000,
};

/** An engine that is in the state that a test puts it into. */
class StagedEngine extends MockEngine {
  override readonly events = new EventEmitter<{
    state: [BackendState];
    phase: [never];
  }>() as Engine['events'];
  #staged: BackendState = { kind: 'starting' };
  stops = 0;

  override get state(): BackendState {
    return this.#staged;
  }

  override start(): void {
    this.stage({ kind: 'loading', phase: 'mmap' });
  }

  override async stop(): Promise<void> {
    this.stops += 1;
    await Promise.resolve();
  }

  stage(state: BackendState): void {
    this.#staged = state;
    this.events.emit('state', state);
  }
}

let now: number;
let timers: { at: number; callback: () => void }[];
let demand: Map<string, Demand>;
let made: { readonly id: string; readonly engine: StagedEngine }[];
let servable: readonly string[];
let refused: (readonly [id: string, code: string])[];

beforeEach(() => {
  now = 0;
  timers = [];
  demand = new Map<string, Demand>();
  made = [];
  servable = [];
  refused = [];
});

function makePool(
  changes: Partial<ResidencyPolicy> = {},
  known: readonly string[] = ['a', 'b', 'c'],
): ModelPool {
  return new ModelPool({
    policy: { ...policy, ...changes },
    clock: {
      now: () => now,
      schedule: (delayMs, callback) => {
        const timer = { at: now + delayMs, callback };
        timers.push(timer);
        return () => (timers = timers.filter((one) => one !== timer));
      },
    },
    find: async (id) =>
      known.includes(id)
        ? {
            id,
            bytes: 10,
            makeEngine: () => {
              const engine = new StagedEngine({ name: id });
              made.push({ id, engine });
              return engine;
            },
          }
        : undefined,
    demand: () => demand,
    freeBytes: () => 1000,
    onServable: (ids) => (servable = [...ids]),
    onRefused: (id, error: HearthError) => refused.push([id, error.code]),
  });
}

/** Lets what was put off till the end of the turn happen. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

async function pass(milliseconds: number): Promise<void> {
  now += milliseconds;
  const due = timers.filter(({ at }) => at <= now);
  timers = timers.filter(({ at }) => at > now);
  for (const { callback } of due) callback();
  await settle();
}

const waits = (oldestAt = now): Demand => ({ waiting: 1, oldestAt, running: 0 });

async function ask(pool: ModelPool, id: string): Promise<void> {
  await pool.know(id);
  demand.set(id, waits());
  pool.consider();
  await settle();
}

const last = (): StagedEngine => made.at(-1)!.engine;

async function load(pool: ModelPool, id: string): Promise<StagedEngine> {
  await ask(pool, id);
  last().stage({ kind: 'ready' });
  demand.delete(id);
  await settle();
  return last();
}

describe('a load', () => {
  test('is begun once for all who wait, and ends when the model can serve', async () => {
    const pool = makePool();
    const loaded: [string, number][] = [];
    pool.events.on('loaded', (id, loadMs) => loaded.push([id, loadMs]));
    await ask(pool, 'a');
    demand.set('a', { waiting: 5, oldestAt: 0, running: 0 });
    pool.consider();
    await settle();
    expect([pool.loads, servable]).toEqual([1, []]);
    now = 700;
    last().stage({ kind: 'ready' });
    await settle();
    expect(servable).toEqual(['a']);
    expect(loaded).toEqual([['a', 700]]);
  });

  test('after a restart is timed from the restart on', async () => {
    const pool = makePool();
    const loaded: number[] = [];
    pool.events.on('loaded', (_id, loadMs) => loaded.push(loadMs));
    const engine = await load(pool, 'a');
    now += 5000;
    engine.stage({ kind: 'restarting', attempt: 1, delayMs: 500, reason: 'It ended.' });
    now += 700;
    engine.stage({ kind: 'ready' });
    await settle();
    expect(loaded).toEqual([0, 700]);
  });

  test('that nobody waits for any more goes on all the same', async () => {
    const pool = makePool();
    const wish = pool.want(await pool.know('a'));
    await settle();
    wish.leave();
    await settle();
    last().stage({ kind: 'ready' });
    await settle();
    expect([servable, last().stops]).toEqual([['a'], 0]);
  });

  test('that fails ends the waits with its reason, and is not tried again at once', async () => {
    const pool = makePool();
    await ask(pool, 'a');
    const wish = pool.want('a');
    last().stage({ kind: 'failed', code: 'insufficient_memory', reason: 'Too large.' });
    await expect(wish.ready).rejects.toMatchObject({ code: 'insufficient_memory', message: 'Too large.' });
    expect(refused).toContainEqual(['a', 'insufficient_memory']);
    await settle();
    expect([last().stops, pool.states().get('a'), pool.loads]).toEqual([1, 'failed', 1]);
    demand.clear();
    await pass(6000);
    await ask(pool, 'a');
    expect(pool.loads).toBe(2);
  });

  test('of a model that nobody knows is none', async () => {
    await expect(makePool().know('z')).rejects.toMatchObject({ code: 'model_not_found' });
  });
});

describe('room', () => {
  test('is made by the one that nobody uses, which is stopped before the next is started', async () => {
    const pool = makePool();
    const first = await load(pool, 'a');
    const unloaded: string[] = [];
    pool.events.on('unloaded', (id, why) => unloaded.push(`${id} ${why}`));
    await ask(pool, 'b');
    expect([first.stops, unloaded]).toEqual([1, ['a room']]);
    expect(made.map(({ id }) => id)).toEqual(['a', 'b']);
    last().stage({ kind: 'ready' });
    await settle();
    expect(servable).toEqual(['b']);
  });

  test('is not made by one that is pinned or in use; the wait ends where it never will be', async () => {
    const pool = makePool();
    const first = await load(pool, 'a');
    pool.pin('a', true);
    await ask(pool, 'b');
    expect([first.stops, made]).toEqual([0, [expect.anything()]]);
    expect(refused).toEqual([['b', 'insufficient_memory']]);
    pool.pin('a', false);
    demand.set('a', { waiting: 0, oldestAt: 0, running: 1 });
    await ask(pool, 'b');
    expect(first.stops).toBe(0);
  });

  test('is given back by what nobody has used for long enough', async () => {
    const pool = makePool();
    const engine = await load(pool, 'a');
    await pass(59_000);
    expect(engine.stops).toBe(0);
    await pass(1500);
    expect([engine.stops, pool.engines]).toEqual([1, []]);
  });
});

describe('a model that is loaded', () => {
  test('takes no new work while its worker starts again, and does not count as a load', async () => {
    const pool = makePool();
    const engine = await load(pool, 'a');
    engine.stage({ kind: 'restarting', attempt: 1, delayMs: 1, reason: 'It crashed.' });
    await settle();
    expect([servable, pool.states().get('a')]).toEqual([[], 'loading']);
    engine.stage({ kind: 'ready' });
    await settle();
    expect([servable, pool.loads]).toEqual([['a'], 1]);
  });

  test('is unloaded on request unless somebody uses it', async () => {
    const pool = makePool();
    const engine = await load(pool, 'a');
    demand.set('a', { waiting: 0, oldestAt: 0, running: 1 });
    expect(await pool.unload('a')).toBe(false);
    demand.clear();
    expect(await pool.unload('a')).toBe(true);
    expect([engine.stops, servable, pool.states().get('a')]).toEqual([1, [], 'absent']);
    pool.drop('a');
    expect(pool.states().has('a')).toBe(false);
  });

  test('ends with the pool, after which nothing is begun', async () => {
    const pool = makePool();
    const engine = await load(pool, 'a');
    await pool.stop();
    demand.set('b', waits());
    pool.consider();
    await settle();
    expect([engine.stops, made]).toEqual([1, [expect.anything()]]);
  });
});

test('models that nobody asks for any more are forgotten, so that names do not add up', async () => {
  const names = Array.from({ length: 400 }, (_, index) => `m${String(index)}`);
  const pool = makePool({}, names);
  for (const name of names) await pool.know(name);
  expect(pool.states().size).toBeLessThanOrEqual(256);
});
