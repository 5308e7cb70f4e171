import { type JobClass, jobClasses } from '@hearth/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  arrive,
  close,
  type Decision,
  type Effect,
  emptySchedule,
  expire,
  finish,
  type Job,
  leave,
  nextExpiry,
  type Policy,
  type Schedule,
  serviceOrder,
} from './schedule.js';

function job(id: string, client: string, more: Partial<Job> = {}): Job {
  return {
    id,
    client,
    class: 'chat',
    supersedeKey: undefined,
    arrivedAt: 0,
    deadlineAt: undefined,
    patientUntil: undefined,
    ...more,
  };
}

const onePermit: Policy = { activePermits: 1, queueDepth: 10, ageingMs: 60_000 };

/** Lets all jobs come at time 0 and each run for `serviceMs`; gives the ids in the order of their start. */
function runAll(jobs: readonly Job[], policy: Policy, serviceMs: number): string[] {
  const started: string[] = [];
  let schedule = emptySchedule;
  let now = 0;
  const take = ({ schedule: next, effects }: Decision): void => {
    schedule = next;
    for (const effect of effects) if (effect.kind === 'start') started.push(effect.job.id);
  };
  for (const one of jobs) take(arrive(schedule, policy, one, now));
  while (schedule.running.size > 0) {
    now += serviceMs;
    for (const id of [...schedule.running.keys()]) take(finish(schedule, policy, id, now));
  }
  return started;
}

describe('the schedule', () => {
  it('row 61: serves one client in the order of arrival', () => {
    expect(runAll([job('1', 'a'), job('2', 'a'), job('3', 'a')], onePermit, 100)).toEqual(['1', '2', '3']);
  });

  it('row 175: a client that floods makes another wait for one job at most', () => {
    const flood = [1, 2, 3, 4, 5].map((number) => job(`a${String(number)}`, 'a'));
    expect(runAll([...flood, job('b1', 'b'), job('b2', 'b')], onePermit, 100)).toEqual([
      ...['a1', 'b1', 'a2', 'b2', 'a3', 'a4', 'a5'],
    ]);
  });

  it('takes interactive work before chat, and chat before background', () => {
    const jobs = [
      job('running', 'a'),
      job('batch', 'b', { class: 'background' }),
      job('chat', 'c'),
      job('key', 'd', { class: 'interactive' }),
    ];
    expect(runAll(jobs, onePermit, 100)).toEqual(['running', 'key', 'chat', 'batch']);
  });

  it('counts background work that has waited long enough as chat, never as interactive', () => {
    const policy = { ...onePermit, ageingMs: 1000 };
    let { schedule } = arrive(emptySchedule, policy, job('running', 'a'), 0);
    ({ schedule } = arrive(schedule, policy, job('batch', 'b', { class: 'background' }), 0));
    ({ schedule } = arrive(schedule, policy, job('chat', 'c', { arrivedAt: 900 }), 900));
    ({ schedule } = arrive(schedule, policy, job('key', 'd', { class: 'interactive', arrivedAt: 950 }), 950));
    expect(serviceOrder(schedule, policy, 999).map(({ id }) => id)).toEqual(['key', 'chat', 'batch']);
    expect(serviceOrder(schedule, policy, 1000).map(({ id }) => id)).toEqual(['key', 'batch', 'chat']);
  });

  it("gives a full queue's place to a class that matters more, at the cost of the newest of the least", () => {
    const policy = { ...onePermit, queueDepth: 2 };
    let { schedule } = arrive(emptySchedule, policy, job('running', 'a'), 0);
    ({ schedule } = arrive(schedule, policy, job('batch1', 'a', { class: 'background' }), 0));
    ({ schedule } = arrive(schedule, policy, job('batch2', 'a', { class: 'background' }), 0));
    const { effects } = arrive(schedule, policy, job('chat', 'b'), 0);
    expect(effects).toEqual([
      expect.objectContaining({
        kind: 'end',
        code: 'queue_full',
        job: expect.objectContaining({ id: 'batch2' }) as unknown,
      }),
    ]);
  });

  it("gives a full queue's place to a client that has none, at the cost of the one that has most", () => {
    const policy = { ...onePermit, queueDepth: 2 };
    let { schedule } = arrive(emptySchedule, policy, job('running', 'a'), 0);
    ({ schedule } = arrive(schedule, policy, job('a1', 'a'), 0));
    ({ schedule } = arrive(schedule, policy, job('a2', 'a'), 0));
    ({ schedule } = arrive(schedule, policy, job('b1', 'b'), 0));
    expect(schedule.waiting.map(({ id }) => id)).toEqual(['a1', 'b1']);
    const own = arrive(schedule, policy, job('b2', 'b'), 0);
    expect(own.effects).toMatchObject([{ kind: 'end', code: 'queue_full', job: { id: 'b2' } }]);
  });

  it('four equal clients beside one with ten times their load get equal shares (Jain index at least 0.95)', () => {
    const policy: Policy = { activePermits: 2, queueDepth: 64, ageingMs: 60_000 };
    const clients = ['greedy', 'a', 'b', 'c', 'd'];
    const loads = new Map(clients.map((client) => [client, client === 'greedy' ? 20 : 2]));
    const served = new Map<string, number>();
    let schedule = emptySchedule;
    let now = 0;
    let number = 0;
    for (let round = 0; round < 400; round += 1) {
      for (const client of clients) {
        const here = [...schedule.running.values()].filter((one) => one.job.client === client).length;
        const waits = schedule.waiting.filter((one) => one.client === client).length;
        for (let missing = (loads.get(client) ?? 0) - here - waits; missing > 0; missing -= 1) {
          number += 1;
          ({ schedule } = arrive(schedule, policy, job(String(number), client, { arrivedAt: now }), now));
        }
      }
      now += 50 + ((round * 37) % 100);
      const [done] = schedule.running;
      if (done === undefined) throw new Error('there is always work');
      served.set(done[1].job.client, (served.get(done[1].job.client) ?? 0) + now - done[1].startedAt);
      ({ schedule } = finish(schedule, policy, done[0], now));
    }
    const equals = ['a', 'b', 'c', 'd'].map((client) => served.get(client) ?? 0);
    const sum = equals.reduce((total, one) => total + one, 0);
    const squares = equals.reduce((total, one) => total + one * one, 0);
    expect((sum * sum) / (equals.length * squares)).toBeGreaterThanOrEqual(0.95);
    // And the greedy one has no more than they have.
    expect(served.get('greedy') ?? 0).toBeLessThanOrEqual((sum / 4) * 1.2);
  });

  const eventArbitrary = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('arrive' as const),
        client: fc.constantFrom('a', 'b', 'c'),
        class: fc.constantFrom<JobClass>(...jobClasses),
        key: fc.constantFrom(undefined, undefined, 'k1', 'k2'),
        deadline: fc.constantFrom(undefined, undefined, 300, 3000),
        patience: fc.constantFrom(undefined, 500, 5000),
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('finish' as const), which: fc.nat(100) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), which: fc.nat(100) }) },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 2000 }) }),
    },
  );
  type Event = typeof eventArbitrary extends fc.Arbitrary<infer One> ? One : never;

  /** Plays a trace and checks after each event what must always hold. Gives all decisions, for comparison. */
  function play(events: readonly Event[], policy: Policy, verify = true): Effect[] {
    let schedule: Schedule = emptySchedule;
    let now = 0;
    let number = 0;
    const open = new Set<string>();
    const all: Effect[] = [];
    const take = (decision: Decision): void => {
      const before = schedule;
      schedule = decision.schedule;
      all.push(...decision.effects);
      if (verify) for (const effect of decision.effects) check(effect, before);
    };
    const check = (effect: Effect, before: Schedule): void => {
      if (effect.kind === 'end') {
        // One end for each job, and only for jobs that had none.
        expect(open.delete(effect.job.id)).toBe(true);
      } else if (effect.kind === 'start') {
        expect(open.has(effect.job.id)).toBe(true);
        const candidates = before.waiting.filter(({ id }) =>
          schedule.waiting.some((other) => other.id === id),
        );
        for (const passedOver of candidates) {
          // Interactive never waits behind anything else.
          if (passedOver.class === 'interactive') expect(effect.job.class).toBe('interactive');
          // First come, first served, for one client and class.
          const sameLine = passedOver.client === effect.job.client && passedOver.class === effect.job.class;
          if (sameLine) expect(passedOver.arrivedAt).toBeGreaterThanOrEqual(effect.job.arrivedAt);
        }
      } else {
        expect(schedule.running.has(effect.job.id)).toBe(true);
      }
    };
    for (const event of events) {
      if (event.kind === 'arrive') {
        number += 1;
        const id = String(number);
        open.add(id);
        const newcomer = job(id, event.client, {
          class: event.class,
          supersedeKey: event.key,
          arrivedAt: now,
          deadlineAt: event.deadline === undefined ? undefined : now + event.deadline,
          patientUntil: event.patience === undefined ? undefined : now + event.patience,
        });
        take(arrive(schedule, policy, newcomer, now));
      } else if (event.kind === 'finish') {
        const ids = [...schedule.running.keys()];
        const id = ids[event.which % Math.max(1, ids.length)];
        if (id !== undefined) {
          open.delete(id);
          take(finish(schedule, policy, id, now));
        }
      } else if (event.kind === 'leave') {
        const leaver = schedule.waiting[event.which % Math.max(1, schedule.waiting.length)];
        if (leaver !== undefined) {
          open.delete(leaver.id);
          take(leave(schedule, leaver.id));
        }
      } else {
        now += event.ms;
        take(expire(schedule, now));
      }
      if (!verify) continue;
      // The bound, and that no permit lies idle while somebody waits.
      expect(schedule.running.size).toBeLessThanOrEqual(policy.activePermits);
      expect(schedule.running.size + schedule.waiting.length).toBeLessThanOrEqual(
        policy.activePermits + policy.queueDepth,
      );
      if (schedule.waiting.length > 0) expect(schedule.running.size).toBe(policy.activePermits);
      // Nobody is lost: who has neither ended nor left is here.
      expect(open.size).toBe(schedule.running.size + schedule.waiting.length);
      expect(schedule.tags.size).toBeLessThanOrEqual(3);
      const next = nextExpiry(schedule);
      if (next !== undefined) expect(next).toBeGreaterThan(now - 2001);
    }
    const left = close(schedule);
    expect(left.effects).toHaveLength(schedule.waiting.length);
    return all;
  }

  const policyArbitrary = fc.record({
    activePermits: fc.integer({ min: 1, max: 4 }),
    queueDepth: fc.integer({ min: 0, max: 8 }),
    ageingMs: fc.constant(5000),
  });

  it('holds its invariants in any order of events, and decides the same when they are replayed', () => {
    fc.assert(
      fc.property(policyArbitrary, fc.array(eventArbitrary, { maxLength: 300 }), (policy, events) => {
        expect(play(events, policy)).toEqual(play(events, policy));
      }),
      { numRuns: 100 },
    );
  });

  // What must always hold is checked above; here it is the length of the trace that counts.
  it('replays a trace of 100 000 events to the same decisions', () => {
    const events = fc.sample(eventArbitrary, { seed: 7, numRuns: 100_000 });
    const policy: Policy = { activePermits: 3, queueDepth: 12, ageingMs: 5000 };
    const decisions = JSON.stringify(play(events, policy, false));
    expect(decisions.length).toBeGreaterThan(1_000_000);
    expect(JSON.stringify(play(events, policy, false)) === decisions).toBe(true);
  }, 120_000);
});
