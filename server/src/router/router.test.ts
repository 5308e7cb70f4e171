import { beforeEach, describe, expect, it } from 'vitest';
import { MockEngine } from '../engine/mock/mock-engine.js';
import { Router } from './router.js';

describe('the router', () => {
  let now = 0;
  let first: MockEngine;
  let second: MockEngine;
  let router: Router;

  beforeEach(() => {
    now = 0;
    first = new MockEngine({ name: 'first' });
    second = new MockEngine({ name: 'second' });
    first.setReady(true);
    second.setReady(true);
    router = new Router([first, second], { now: () => now });
  });

  function fail(times: number): void {
    for (let index = 0; index < times; index += 1) router.route(undefined).settle('failure');
  }

  it('row 74: the first ready engine in order is chosen', () => {
    expect(router.route(undefined).engine).toBe(first);
    first.setReady(false);
    expect(router.route(undefined).engine).toBe(second);
  });

  it('row 74: a higher priority that has recovered is preferred again', () => {
    first.setReady(false);
    router.route(undefined).settle('success');
    first.setReady(true);
    expect(router.route(undefined).engine).toBe(first);
  });

  it('row 75: after three failures it is skipped for 30 s, then gets one probe', () => {
    fail(3);
    expect(router.route(undefined).engine).toBe(second);
    now = 30_000;
    const probe = router.route(undefined);
    expect(probe.engine).toBe(first);
    expect(router.route(undefined).engine).toBe(second);
    probe.settle('success');
    expect(router.route(undefined).engine).toBe(first);
  });

  it('row 75: what becomes of requests from before it opened says nothing of the probe', () => {
    const early = [router.route(undefined), router.route(undefined), router.route(undefined)];
    fail(3);
    early[0]?.settle('success');
    expect(router.breakerOf(first)).toBe('open');
    now = 30_000;
    const probe = router.route(undefined);
    early[1]?.settle('neutral');
    early[2]?.settle('success');
    expect(router.route(undefined).engine).toBe(second);
    probe.settle('success');
    expect(router.breakerOf(first)).toBe('closed');
  });

  it('row 75: a probe that fails sends everything to the next one again', () => {
    fail(3);
    now = 30_000;
    router.route(undefined).settle('failure');
    expect(router.route(undefined).engine).toBe(second);
    expect(router.breakerOf(first)).toBe('open');
  });

  it("row 76: a thousand outcomes that are not the backend's leave it closed", () => {
    for (let index = 0; index < 1000; index += 1) router.route(undefined).settle('neutral');
    expect(router.breakerOf(first)).toBe('closed');
    expect(router.route(undefined).engine).toBe(first);
  });

  it('row 77: with none that can serve, the request is refused', () => {
    first.setReady(false);
    second.setReady(false);
    expect(() => router.route(undefined)).toThrow(/no backend available/);
    expect(() => new Router([], { now: () => 0 }).route(undefined)).toThrow(/no backend available/);
  });

  it('row 48: all must be ready, and an empty router never is', () => {
    expect(router.allReady).toBe(true);
    second.setReady(false);
    expect(router.allReady).toBe(false);
    expect(new Router([], { now: () => 0 }).allReady).toBe(false);
  });

  it('goes to the engine whose model was asked for, and says so where there is none', () => {
    expect(router.route('second').engine).toBe(second);
    expect(() => router.route('third')).toThrow(expect.objectContaining({ code: 'model_not_found' }));
  });

  it('tells of a breaker that opens and of one that closes', () => {
    const told: string[] = [];
    router = new Router([first], {
      now: () => now,
      onBreaker: (engine, state) => told.push(`${engine.name} ${state}`),
    });
    fail(3);
    now = 30_000;
    router.route(undefined).settle('success');
    expect(told).toEqual(['first open', 'first closed']);
  });
});
