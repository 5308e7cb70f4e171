import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Chooser, type ChooserOptions, type Wanted } from './choose.js';
import {
  type Circuit,
  closedCircuit,
  defaultCircuitPolicy,
  describeCircuit,
  onEnd,
  onPass,
  type Outcome,
  passes,
} from './circuit.js';
import { newService, type RoutedService } from './routed-service.js';

const service = (name: string, metadata: object = {}, more: Partial<RoutedService> = {}): RoutedService => ({
  ...newService(
    {
      name,
      host: 'localhost',
      port: 1,
      url: `http://localhost/${name}`,
      is_healthy: true,
      metadata: { models: ['m'], ...metadata },
    },
    false,
  ),
  healthy: true,
  ...more,
});
const chooser = (options: Partial<ChooserOptions> = {}) =>
  new Chooser({ balance: 'round-robin', sizeThreshold: 100, circuit: defaultCircuitPolicy, ...options });
const wanted = (more: Partial<Wanted> = {}): Wanted => ({
  model: 'm',
  session: undefined,
  textBytes: 0,
  blocks: () => [],
  tried: new Set(),
  ...more,
});
const names = (one: Chooser, services: readonly RoutedService[], want: Wanted, turns: number) =>
  Array.from({ length: turns }, () => one.choose(services, want, 0)?.service.name);

describe('who is chosen', () => {
  test('row 130: only who is healthy, lets it pass and has the model', () => {
    const services = [
      service('a', { models: ['other'] }),
      service('b', {}, { healthy: false }),
      service('c', {}, { circuit: { kind: 'open', since: 0 } }),
      service('d'),
    ];
    expect(new Set(names(chooser(), services, wanted(), 8))).toEqual(new Set(['d']));
    expect(chooser().choose(services, wanted({ model: 'none' }), 0)).toBeUndefined();
    expect(chooser().choose(services, wanted({ tried: new Set(['d']) }), 0)).toBeUndefined();
  });

  test('row 131: over 100 requests of equal weight each has 50, and three to one is 75 to 25', () => {
    const count = (services: RoutedService[]) =>
      names(chooser(), services, wanted(), 100).filter((name) => name === 'a').length;
    expect(count([service('a'), service('b')])).toBe(50);
    expect(count([service('a', { weight: 3 }), service('b')])).toBe(75);
  });

  test('priority: the next serve only while none of the first can, and the first are preferred again', () => {
    const first = service('first');
    const services = [first, service('second', { priority: 1 })];
    const one = chooser();
    expect(names(one, services, wanted(), 3)).toEqual(['first', 'first', 'first']);
    first.healthy = false;
    expect(names(one, services, wanted(), 2)).toEqual(['second', 'second']);
    first.healthy = true;
    expect(names(one, services, wanted(), 1)).toEqual(['first']);
  });

  test('row 134: size chooses the pool; a missing pool falls back to all', () => {
    const services = [service('p', { cache_type: 'paged' }), service('s', { cache_type: 'static' })];
    expect(new Set(names(chooser(), services, wanted({ textBytes: 101 }), 4))).toEqual(new Set(['s']));
    expect(new Set(names(chooser(), services, wanted({ textBytes: 100 }), 4))).toEqual(new Set(['p']));
    const paged = [service('p', { cache_type: 'paged' }), service('q', { cache_type: 'paged' })];
    const fallback = chooser().choose(paged, wanted({ textBytes: 101 }), 0);
    expect(fallback).toMatchObject({ pool: undefined, candidates: 2 });
  });

  test('row 133: a session stays, whoever else is asked', () => {
    const services = [service('a'), service('b'), service('c')];
    const one = chooser();
    const home = one.choose(services, wanted({ session: 'k' }), 0)?.service.name;
    names(one, services, wanted(), 5);
    expect(new Set(names(one, services, wanted({ session: 'k' }), 5))).toEqual(new Set([home]));
  });

  test('least outstanding: by weight, and by turns among equals', () => {
    const services = [
      service('a', {}, { outstanding: 2 }),
      service('b', { weight: 4 }, { outstanding: 4 }),
      service('c', {}, { outstanding: 3 }),
    ];
    expect(new Set(names(chooser({ balance: 'least-outstanding' }), services, wanted(), 4))).toEqual(
      new Set(['b']),
    );
    const idle = [service('a'), service('b')];
    expect(new Set(names(chooser({ balance: 'least-outstanding' }), idle, wanted(), 4))).toEqual(
      new Set(['a', 'b']),
    );
  });

  test('prefix: who has seen the beginning, unless it has far too much to do or the match is too small', () => {
    const [a, b] = [service('a'), service('b')];
    const one = chooser({ balance: 'prefix' });
    const blocks = Array.from({ length: 20 }, (_, index) => index + 1);
    const want = wanted({ blocks: () => blocks });
    const first = one.choose([a, b], want, 0);
    if (first === undefined) throw new Error('nobody');
    one.served(first);
    expect(one.choose([a, b], want, 0)).toMatchObject({ by: 'prefix', matched: 20, service: first.service });
    const longer = wanted({
      blocks: () => [...blocks, ...Array.from({ length: 300 }, (_, index) => index + 1000)],
    });
    expect(one.choose([a, b], longer, 0)?.by).toBe('least-outstanding');
    first.service.outstanding = 4;
    expect(one.choose([a, b], want, 0)).toMatchObject({ by: 'least-outstanding' });
    expect(one.choose([a, b], want, 0)?.service).not.toBe(first.service);
  });
});

describe('the breaker', () => {
  const policy = defaultCircuitPolicy;
  const run = (outcomes: readonly Outcome[], every = 1): Circuit =>
    outcomes.reduce<Circuit>(
      (circuit, outcome, index) => onEnd(circuit, index, outcome, index * every, policy),
      closedCircuit,
    );

  test.each([
    [['transport', 'transport', 'transport'], 'open'],
    [['timeout', 'transport', 'timeout'], 'open'],
    [['transport', 'transport', 'ok', 'transport', 'transport'], 'closed'],
    [['server_error', 'server_error', 'server_error', 'server_error'], 'closed'],
    [['server_error', 'server_error', 'server_error', 'server_error', 'server_error'], 'open'],
    [['transport', 'cancelled', 'transport', 'busy', 'transport'], 'open'],
    [Array<Outcome>(1000).fill('cancelled'), 'closed'],
    [Array<Outcome>(1000).fill('busy'), 'closed'],
  ] as const)('after %j it is %s', (outcomes, kind) => {
    expect(run(outcomes).kind).toBe(kind);
  });

  test('failures further apart than the window do not add up', () => {
    expect(run(['transport', 'transport', 'transport', 'transport'], 40_000).kind).toBe('closed');
  });

  test('half open admits exactly one, however many ask at once', () => {
    let circuit = run(['transport', 'transport', 'transport']);
    const later = 2 + policy.openMs;
    expect(describeCircuit(circuit, 10, policy)).toBe('open');
    expect(describeCircuit(circuit, later, policy)).toBe('half_open');
    let admitted = 0;
    for (let request = 100; request < 200; request += 1) {
      if (!passes(circuit, later, policy)) continue;
      admitted += 1;
      circuit = onPass(circuit, request);
    }
    expect(admitted).toBe(1);
    // What began before it opened says nothing of the probe.
    expect(onEnd(circuit, 5, 'ok', later, policy).kind).toBe('probing');
    expect(onEnd(circuit, 100, 'ok', later, policy)).toEqual(closedCircuit);
    expect(onEnd(circuit, 100, 'transport', later, policy)).toEqual({ kind: 'open', since: later });
    const given = onEnd(circuit, 100, 'cancelled', later, policy);
    expect(passes(given, later, policy)).toBe(true);
  });

  test('whatever happens, while a probe is out nobody passes', () => {
    const act = fc.record({
      outcome: fc.constantFrom<Outcome>('ok', 'transport', 'timeout', 'server_error', 'busy', 'cancelled'),
      wait: fc.nat(20_000),
      ends: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 80 }), (acts) => {
        let circuit: Circuit = closedCircuit;
        let now = 0;
        let number = 0;
        const running: number[] = [];
        let probe: number | undefined;
        for (const { outcome, wait, ends } of acts) {
          now += wait;
          if (passes(circuit, now, policy)) {
            expect(probe).toBeUndefined();
            number += 1;
            circuit = onPass(circuit, number);
            if (circuit.kind === 'probing') probe = number;
            running.push(number);
          }
          const ended = ends ? running.shift() : undefined;
          if (ended === undefined) continue;
          circuit = onEnd(circuit, ended, outcome, now, policy);
          if (ended === probe) probe = undefined;
        }
      }),
    );
  });
});
