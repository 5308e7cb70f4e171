import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { mostServices, Registry, RegistryFull } from './registry.js';
import type { Registration } from './service-record.js';

let monotonic = 0;
let wall = 1_700_000_000_000;
const clock = { monotonic: () => monotonic, wall: () => wall };
/** Both clocks go on. */
const pass = (ms: number): void => {
  monotonic += ms;
  wall += ms;
};
const service = (name: string, more: Partial<Registration> = {}): Registration => ({
  name,
  host: 'localhost',
  hostname: 'localhost',
  port: 8000,
  url: `http://localhost:8000/${name}`,
  status: 'running',
  metadata: {},
  ...more,
});

let registry: Registry;
beforeEach(() => {
  monotonic = 5000;
  wall = 1_700_000_000_000;
  registry = new Registry(clock);
});

describe('row 124: heartbeat and expiry', () => {
  test('given no heartbeat, then healthy to 120 s, unhealthy from there, removed by the sweep after 300 s', () => {
    registry.register(service('a'));
    pass(119_999);
    expect(registry.get('a')?.is_healthy).toBe(true);
    pass(1);
    expect(registry.get('a')?.is_healthy).toBe(false);
    pass(180_000);
    expect(registry.sweep()).toEqual([]);
    pass(1);
    expect(registry.sweep()).toEqual(['a']);
    expect(registry.get('a')).toBeUndefined();
  });

  test('given heartbeats, then it stays, and its record says when it was heard', () => {
    registry.register(service('a'));
    for (let turn = 0; turn < 20; turn += 1) {
      pass(60_000);
      expect(registry.heartbeat('a', undefined)).toBe(true);
      registry.sweep();
    }
    expect(registry.get('a')).toMatchObject({ is_healthy: true, last_heartbeat: wall / 1000 });
    expect(registry.heartbeat('unknown', undefined)).toBe(false);
  });

  test('given a wall clock that jumps a day either way, then nothing is dropped and nothing kept', () => {
    registry.register(service('a'));
    wall += 86_400_000;
    expect(registry.get('a')?.is_healthy).toBe(true);
    wall -= 3 * 86_400_000;
    expect(registry.sweep()).toEqual([]);
    monotonic += 300_001;
    expect(registry.sweep()).toEqual(['a']);
  });
});

describe('health that tells the truth', () => {
  test('given a probe that failed, then a service is not healthy however fresh its heartbeat', () => {
    registry.register(service('a'));
    registry.probed('a', 'http://localhost:8000/a', 'unhealthy');
    registry.heartbeat('a', 'running');
    expect(registry.get('a')).toMatchObject({ is_healthy: false, health_status: 'unhealthy' });
    registry.probed('a', 'http://localhost:8000/a', 'healthy');
    expect(registry.get('a')?.is_healthy).toBe(true);
  });

  test('given a service that moved, then what was found at its old address no longer counts', () => {
    registry.register(service('a'));
    registry.probed('a', 'http://localhost:8000/a', 'unhealthy');
    registry.register(service('a', { url: 'http://localhost:9000' }));
    expect(registry.get('a')?.health_status).toBe('unknown');
    registry.probed('a', 'http://localhost:8000/a', 'unhealthy');
    expect(registry.get('a')?.health_status).toBe('unknown');
  });

  test('given a status other than running, then it is not healthy', () => {
    registry.register(service('a'));
    registry.heartbeat('a', 'restarting');
    expect(registry.get('a')).toMatchObject({ is_healthy: false, status: 'restarting' });
  });
});

test('rows 125, 126: filters and counts', () => {
  registry.register(service('b', { host: 'one' }));
  registry.register(service('a', { host: 'one', status: 'stopped' }));
  registry.register(service('c', { host: 'two' }));
  pass(2500);
  expect(registry.list({ healthy: true }).map(({ name }) => name)).toEqual(['b', 'c']);
  expect(registry.list({ status: 'stopped' }).map(({ name }) => name)).toEqual(['a']);
  expect(registry.list({ healthy: false, status: 'running' })).toEqual([]);
  expect(registry.stats()).toEqual({
    total_services: 3,
    healthy_services: 2,
    unhealthy_services: 1,
    status_distribution: { running: 2, stopped: 1 },
    host_distribution: { one: 2, two: 1 },
    uptime: 2,
  });
});

test('the list is bounded, and replacing one needs no room', () => {
  for (let count = 0; count < mostServices; count += 1) registry.register(service(`s${count}`));
  expect(() => registry.register(service('one-more'))).toThrow(RegistryFull);
  expect(registry.register(service('s1', { status: 'stopped' })).status).toBe('stopped');
});

test('whatever happens, the revision rises exactly when a reader could see a difference', () => {
  const name = fc.constantFrom('a', 'b');
  const act = fc.oneof(
    name.map((one) => () => void registry.register(service(one))),
    name.map((one) => () => void registry.heartbeat(one, undefined)),
    fc.tuple(name, fc.constantFrom('running', 'stopped')).map(
      ([one, status]) =>
        () =>
          void registry.heartbeat(one, status),
    ),
    name.map((one) => () => void registry.remove(one)),
    fc.nat(200_000).map((ms) => () => {
      pass(ms);
      registry.noticeTime();
      registry.sweep();
    }),
  );
  const visible = (): string =>
    JSON.stringify(registry.list().map(({ last_heartbeat: _heard, timestamp: _since, ...seen }) => seen));
  fc.assert(
    fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
      registry = new Registry(clock);
      for (const one of acts) {
        const [before, revision] = [visible(), registry.revision];
        one();
        if (visible() !== before) expect(registry.revision).toBeGreaterThan(revision);
      }
    }),
  );
});
