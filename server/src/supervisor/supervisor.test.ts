import { describe, expect, test } from 'vitest';
import type { ChildExit, ChildGroup } from './child-group.js';
import { defaultRestartOptions, fixedRestarts } from './restart-policy.js';
import {
  defaultSupervisorOptions,
  type ServiceState,
  Supervisor,
  type SupervisorOptions,
} from './supervisor.js';

/** A world on a virtual clock: each life of the service is a child that the test ends. */
class World {
  now = 0;
  readonly lives: FakeChild[] = [];
  readonly states: ServiceState[] = [];
  readonly waits: number[] = [];
  ready = true;
  answers = true;
  readonly supervisor: Supervisor;
  #started: (() => void)[] = [];

  constructor(options: Partial<SupervisorOptions> = {}) {
    this.supervisor = new Supervisor(
      {
        start: async () => {
          const child = new FakeChild();
          this.lives.push(child);
          for (const wake of this.#started.splice(0)) wake();
          return child;
        },
        untilReady: (signal) =>
          this.ready
            ? Promise.resolve()
            : new Promise((_resolve, reject) => {
                signal.addEventListener('abort', () => reject(new Error('over')));
              }),
        answers: async () => this.answers,
        delay: async (ms, signal) => {
          // Looks at a living service wait for its end here; waits before a restart pass at once.
          if (ms === livenessMs) {
            await new Promise<void>((resolve) => {
              this.look = resolve;
              signal.addEventListener('abort', () => resolve());
            });
            return;
          }
          this.waits.push(ms);
          this.now += ms;
        },
        now: () => this.now,
      },
      { ...defaultSupervisorOptions, livenessMs, restarts: defaultRestartOptions, ...options },
    );
    this.supervisor.events.on('state', (state) => this.states.push(state));
  }

  look: () => void = () => undefined;

  async life(count: number): Promise<FakeChild> {
    while (this.lives.length < count) await new Promise<void>((resolve) => this.#started.push(resolve));
    await settle();
    const child = this.lives[count - 1];
    if (child === undefined) throw new Error('no such life');
    return child;
  }
}

const livenessMs = 4321;
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

class FakeChild implements ChildGroup {
  readonly pid = 1;
  readonly exited: Promise<ChildExit>;
  stopped = false;
  end: (exit: ChildExit) => void = () => undefined;

  constructor() {
    this.exited = new Promise((resolve) => {
      this.end = resolve;
    });
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.end({ kind: 'killed', signal: 'SIGTERM' });
    await this.exited;
  }
}

const crash: ChildExit = { kind: 'exited', code: 1 };

describe('restarts', () => {
  test('row 117: three restarts after 0.5, 1 and 2 seconds, then it is given up and says why', async () => {
    const world = new World();
    const outcome = world.supervisor.run();
    for (let life = 1; life <= 4; life += 1) (await world.life(life)).end(crash);
    expect(await outcome).toBe('given_up');
    expect(world.waits).toEqual([500, 1000, 2000]);
    expect(world.supervisor.state).toEqual({ kind: 'given_up', reason: 'it exited with code 1' });
    expect(world.supervisor.restartCount).toBe(3);
  });

  test('row 118: a service that was ready for 30 s has its budget back; its first crash is no flapping', async () => {
    const world = new World();
    void world.supervisor.run();
    for (let life = 1; life <= 8; life += 1) {
      const child = await world.life(life);
      world.now += 30_000;
      child.end(crash);
    }
    await world.life(9);
    expect(world.waits).toEqual(Array(8).fill(500));
    await world.supervisor.stop();
  });

  test('row 119: max_restarts and the fixed delay are kept', async () => {
    const world = new World({ restarts: fixedRestarts(2, 5000) });
    const outcome = world.supervisor.run();
    for (let life = 1; life <= 3; life += 1) {
      const child = await world.life(life);
      world.now += 3_600_000;
      child.end(crash);
    }
    expect(await outcome).toBe('given_up');
    expect(world.waits).toEqual([5000, 5000]);
  });

  test('row 116: an early exit is seen by its event, while it is waited for', async () => {
    const world = new World();
    world.ready = false;
    void world.supervisor.run();
    (await world.life(1)).end(crash);
    await world.life(2);
    expect(world.now).toBe(500);
    await world.supervisor.stop();
  });

  test('row 120: nothing is started once it was told to stop', async () => {
    const world = new World();
    const outcome = world.supervisor.run();
    const child = await world.life(1);
    await world.supervisor.stop();
    expect(child.stopped).toBe(true);
    expect(await outcome).toBe('stopped');
    expect(world.lives).toHaveLength(1);
    expect(world.supervisor.state).toEqual({ kind: 'stopped' });
  });
});

test('row 110: starting, ready, and unresponsive after three unanswered looks; one answer is enough to return', async () => {
  const world = new World();
  void world.supervisor.run();
  await world.life(1);
  expect(world.supervisor.state.kind).toBe('ready');
  world.answers = false;
  for (const expected of ['ready', 'ready', 'unresponsive'] as const) {
    world.look();
    await settle();
    expect(world.supervisor.state.kind).toBe(expected);
  }
  world.answers = true;
  world.look();
  await settle();
  expect(world.supervisor.state.kind).toBe('ready');
  await world.supervisor.stop();
});

test('row 110: not ready in time is unresponsive, and the process stays', async () => {
  const world = new World({ startupMs: 5 });
  world.ready = false;
  const late = new Promise<void>((resolve) => world.supervisor.events.once('state', () => resolve()));
  void world.supervisor.run();
  await late;
  expect(world.supervisor.state.kind).toBe('unresponsive');
  expect(world.lives).toHaveLength(1);
  await world.supervisor.stop();
});
