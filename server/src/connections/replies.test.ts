import { HearthError } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { ReplyDisconnectedError, ReplyTable, ReplyTimeoutError, type Schedule } from './replies.js';

/** A clock that is moved by hand. */
class HandClock {
  #now = 0;
  #timers: { at: number; run: () => void }[] = [];

  readonly schedule: Schedule = (delayMs, run) => {
    const timer = { at: this.#now + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  };

  async advance(ms: number): Promise<void> {
    this.#now += ms;
    const due = this.#timers.filter(({ at }) => at <= this.#now).toSorted((a, b) => a.at - b.at);
    this.#timers = this.#timers.filter(({ at }) => at > this.#now);
    for (const { run } of due) run();
    await new Promise((resolve) => setImmediate(resolve));
  }

  get timers(): number {
    return this.#timers.length;
  }
}

const patience = 30_000;

describe('answers that are awaited', () => {
  it('rows 149, 150: a connection that ends wakes its waiters at once, long before their time is up', async () => {
    const table = new ReplyTable();
    const pending = [1, 2, 3].map(() => table.open({ connection: 7, timeoutMs: patience }));
    const since = performance.now();
    table.disconnect(7);
    const outcomes = await Promise.allSettled(pending.map(({ answer }) => answer));
    expect(performance.now() - since).toBeLessThan(patience / 3);
    for (const [index, outcome] of outcomes.entries()) {
      const reason: unknown = outcome.status === 'rejected' ? outcome.reason : undefined;
      expect(reason).toBeInstanceOf(ReplyDisconnectedError);
      expect(reason).toMatchObject({ code: 'peer_disconnected', correlation: pending[index]?.correlation });
    }
    expect(table.pending()).toBe(0);
  });

  it('row 151: the end of one connection leaves what another owes', async () => {
    const table = new ReplyTable();
    const ofA = table.open({ connection: 1, timeoutMs: patience });
    const ofB = table.open({ connection: 2, timeoutMs: patience });
    table.disconnect(1);
    await expect(ofA.answer).rejects.toBeInstanceOf(ReplyDisconnectedError);
    table.resolve(2, ofB.correlation, 'b');
    expect(await ofB.answer).toBe('b');
  });

  it('row 152: resolved and then closed is delivered once, and nothing throws', async () => {
    const table = new ReplyTable();
    let ends = 0;
    const pending = table.open({ connection: 1, timeoutMs: patience, onEnd: () => (ends += 1) });
    table.resolve(1, pending.correlation, 'first');
    table.disconnect(1);
    table.disconnect(1);
    table.abandon(pending.correlation);
    expect(await pending.answer).toBe('first');
    expect(ends).toBe(1);
    expect(() => {
      table.resolve(1, pending.correlation, 'late');
    }).toThrow(HearthError);
    expect(await pending.answer).toBe('first');
  });

  it('row 153: gone and too late are two kinds of error, each with its correlation id', async () => {
    const clock = new HandClock();
    const table = new ReplyTable(clock.schedule);
    const late = table.open({ connection: 1, timeoutMs: 50 });
    const gone = table.open({ connection: 2, timeoutMs: 50 });
    table.disconnect(2);
    await clock.advance(50);
    const [first, second] = await Promise.allSettled([late.answer, gone.answer]);
    const timeout: unknown = first.status === 'rejected' ? first.reason : undefined;
    const disconnected: unknown = second.status === 'rejected' ? second.reason : undefined;
    expect(timeout).toBeInstanceOf(ReplyTimeoutError);
    expect(timeout).not.toBeInstanceOf(ReplyDisconnectedError);
    expect(timeout).toMatchObject({ code: 'deadline_exceeded', correlation: late.correlation });
    expect(disconnected).toBeInstanceOf(ReplyDisconnectedError);
    expect(disconnected).not.toBeInstanceOf(ReplyTimeoutError);
    expect(disconnected).toMatchObject({ code: 'peer_disconnected', correlation: gone.correlation });
    expect(clock.timers).toBe(0);
  });

  it.each(['answered', 'disconnected', 'expired'] as const)(
    'row 154: many short waits end as one long wait does: %s',
    async (outcome) => {
      const clock = new HandClock();
      const table = new ReplyTable(clock.schedule);
      const patient = table.open({ connection: 1, timeoutMs: 1000 });
      const looking = table.open({ connection: 1, timeoutMs: 1000 });
      for (let turn = 0; turn < 20; turn += 1) {
        const look = looking.look(10);
        await clock.advance(10);
        expect(await look).toEqual({ kind: 'pending' });
      }
      if (outcome === 'answered')
        for (const { correlation } of [patient, looking]) table.resolve(1, correlation, 'yes');
      if (outcome === 'disconnected') table.disconnect(1);
      if (outcome === 'expired') await clock.advance(800);
      const told = async (answer: Promise<unknown>): Promise<unknown> =>
        answer.catch((error: unknown) => (error instanceof HearthError ? error.code : error));
      const long = await told(patient.answer);
      const short = await told(
        looking.look(10).then((look) => (look.kind === 'answered' ? look.body : look.kind)),
      );
      expect(short).toBe(long);
      expect(long).toBe(
        { answered: 'yes', disconnected: 'peer_disconnected', expired: 'deadline_exceeded' }[outcome],
      );
    },
  );

  it('an answer that nobody asked for, a second one and a stranger’s are refused, and change nothing', async () => {
    const table = new ReplyTable();
    const pending = table.open({ connection: 1, timeoutMs: patience });
    const refused = [
      () => {
        table.resolve(1, 999, 'never asked');
      },
      () => {
        table.resolve(2, pending.correlation, 'not yours');
      },
    ];
    for (const resolve of refused) expect(resolve).toThrow(/awaited of you/);
    table.resolve(1, pending.correlation, 'yours');
    expect(await pending.answer).toBe('yours');
  });

  it('what is no answer is refused, and the right one can still be given', async () => {
    const table = new ReplyTable();
    const pending = table.open({
      connection: 1,
      timeoutMs: patience,
      check: (body) => {
        if (body !== true) throw new HearthError('invalid_request', 'body: must be true');
        return 'checked';
      },
    });
    expect(() => {
      table.resolve(1, pending.correlation, false);
    }).toThrow(/must be true/);
    table.resolve(1, pending.correlation, true);
    expect(await pending.answer).toBe('checked');
  });

  it('one who gives up frees the slot', async () => {
    const table = new ReplyTable();
    const cancel = new AbortController();
    const pending = table.open({ connection: 1, timeoutMs: patience, signal: cancel.signal });
    cancel.abort(new Error('enough'));
    await expect(pending.answer).rejects.toThrow('enough');
    const already = table.open({ connection: 1, timeoutMs: patience, signal: cancel.signal });
    await expect(already.answer).rejects.toThrow('enough');
    expect(table.pending()).toBe(0);
  });
});
