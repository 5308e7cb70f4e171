import { setMaxListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Admission, type AdmissionOptions, type Admitted, type Permit, type Ticket } from './admission.js';
import { VirtualClock } from './virtual-clock.js';

const never = new AbortController().signal;
setMaxListeners(0, never);

/** An admission on a clock of its own, and a way to ask it in few words. */
function gate(activePermits: number, queueDepth: number, more: Partial<AdmissionOptions> = {}) {
  const clock = new VirtualClock();
  const admission = new Admission({ activePermits, queueDepth, ...more }, clock);
  let last = 0;
  const ask = (ticket: Partial<Ticket> = {}, signal: AbortSignal = never): Promise<Admitted> => {
    last += 1;
    return admission.acquire({ id: String(last), client: 'a', class: 'chat', ...ticket }, signal);
  };
  return { admission, clock, ask };
}

async function granted(admitted: Promise<Admitted>): Promise<Permit> {
  const result = await admitted;
  if (result.kind !== 'granted') throw new Error('was cancelled');
  return result.permit;
}

describe('admission', () => {
  it('row 59: with one permit, the second waits until the first has given it back', async () => {
    const { admission, ask } = gate(1, 1);
    const first = await granted(ask());
    let secondRuns = false;
    const second = granted(ask()).then((permit) => {
      secondRuns = true;
      return permit;
    });
    expect(admission.queued).toBe(1);
    await Promise.resolve();
    expect(secondRuns).toBe(false);
    first.release();
    (await second).release();
    expect(admission.permitsInUse).toBe(0);
  });

  it('row 60: one active and ten queued are accepted, the twelfth is refused', async () => {
    const { admission, ask } = gate(1, 10);
    const accepted = Array.from({ length: 11 }, () => ask());
    await expect(ask()).rejects.toMatchObject({ code: 'queue_full' });
    expect(admission.queued).toBe(10);
    for (const one of accepted) (await granted(one)).release();
  });

  it('row 61: who waits is served in the order of arrival', async () => {
    const { ask } = gate(1, 5);
    const first = await granted(ask());
    const order: number[] = [];
    const waiting = [1, 2, 3, 4, 5].map(async (number) => {
      const permit = await granted(ask());
      order.push(number);
      permit.release();
    });
    first.release();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3, 4, 5]);
  });

  it('row 63: with depth 0, the second is refused while the first runs', async () => {
    const { ask } = gate(1, 0);
    const first = await granted(ask());
    await expect(ask()).rejects.toMatchObject({ code: 'queue_full' });
    first.release();
    (await granted(ask())).release();
  });

  it('row 67: who is cancelled while waiting leaves the queue and takes no turn', async () => {
    const { admission, ask } = gate(1, 2);
    const first = await granted(ask());
    const controller = new AbortController();
    const cancelled = ask({}, controller.signal);
    const last = ask();
    controller.abort();
    expect(await cancelled).toEqual({ kind: 'cancelled' });
    expect(admission.queued).toBe(1);
    first.release();
    (await granted(last)).release();
  });

  it('row 65: closing refuses who waits and who comes, and leaves who runs', async () => {
    const { admission, ask } = gate(1, 2);
    const first = await granted(ask());
    const waiting = ask();
    admission.close();
    await expect(waiting).rejects.toMatchObject({ code: 'draining' });
    await expect(ask()).rejects.toMatchObject({ code: 'draining' });
    first.release();
    expect(admission.permitsInUse).toBe(0);
  });

  it('gives back a permit once, however often it is released', async () => {
    const { admission, ask } = gate(2, 0);
    const one = await granted(ask());
    await granted(ask());
    one.release();
    one.release();
    expect(admission.permitsInUse).toBe(1);
  });

  it('says how long a request has waited', async () => {
    const { ask, clock } = gate(1, 1);
    const first = await granted(ask());
    const second = granted(ask());
    clock.advance(250);
    first.release();
    expect((await second).waitedMs).toBe(250);
  });

  it('ends a wait that is longer than the patience of its class', async () => {
    const { ask, clock } = gate(1, 5, { patienceMs: { interactive: 2000 } });
    await granted(ask());
    const keystroke = ask({ class: 'interactive' });
    const chat = ask();
    clock.advance(2000);
    await expect(keystroke).rejects.toMatchObject({ code: 'queue_timeout' });
    clock.advance(1_000_000);
    expect(await Promise.race([chat, Promise.resolve('still waiting')])).toBe('still waiting');
  });

  it('ends a wait, and revokes a permit, when the deadline of the request has passed', async () => {
    const { ask, clock } = gate(1, 5);
    const running = await granted(ask({ deadlineMs: 1000 }));
    const waiting = ask({ deadlineMs: 500 });
    clock.advance(500);
    await expect(waiting).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(running.revoked.aborted).toBe(false);
    clock.advance(500);
    expect(running.revoked.reason).toMatchObject({ code: 'deadline_exceeded' });
  });

  it('lets a newer request take the place of an older one with the same key, waiting or running', async () => {
    const { admission, ask } = gate(1, 5);
    const running = await granted(ask({ supersedeKey: 'document' }));
    const foreign = ask({ client: 'b', supersedeKey: 'document' });
    const waiting = ask({ supersedeKey: 'document' });
    const newest = ask({ supersedeKey: 'document' });
    expect(running.revoked.reason).toMatchObject({ code: 'superseded' });
    await expect(waiting).rejects.toMatchObject({ code: 'superseded' });
    expect(admission.queued).toBe(2);
    running.release();
    (await granted(foreign)).release();
    (await granted(newest)).release();
  });

  it('tells who wants to know its place in the queue, and the wait once one has been measured', async () => {
    const { ask, clock } = gate(1, 5);
    const told: string[] = [];
    const onQueued = (position: number, wait: number | undefined): void => {
      told.push(`${String(position)}:${String(wait)}`);
    };
    const first = await granted(ask());
    const second = granted(ask());
    const third = granted(ask({ onQueued }));
    clock.advance(400);
    first.release();
    (await second).release();
    await third;
    expect(told).toEqual(['1:undefined', '0:400']);
  });

  it('computes from what it has measured when a retry is worth while', async () => {
    const { ask, clock } = gate(2, 0);
    const one = await granted(ask());
    clock.advance(3000);
    one.release();
    await granted(ask());
    await granted(ask());
    await expect(ask()).rejects.toMatchObject({ code: 'queue_full', retryAfterMs: 1500 });
  });

  it.each([
    { activePermits: 0, queueDepth: 0 },
    { activePermits: 1, queueDepth: -1 },
    { activePermits: 1.5, queueDepth: 0 },
  ])('refuses limits that make no sense: %o', (limits) => {
    expect(() => new Admission(limits)).toThrow(RangeError);
  });

  it('never exceeds its bound and loses nobody, whatever happens in whatever order', async () => {
    const action = fc.oneof(
      fc.constant({ kind: 'arrive' as const }),
      fc.record({ kind: fc.constant('release' as const), which: fc.nat() }),
      fc.record({ kind: fc.constant('cancel' as const), which: fc.nat() }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.nat({ max: 4 }),
        fc.array(action),
        async (permits, depth, actions) => {
          const { admission, ask } = gate(permits, depth);
          const running: Permit[] = [];
          const controllers: AbortController[] = [];
          let arrived = 0;
          let ended = 0;
          const arrive = (): void => {
            const controller = new AbortController();
            controllers.push(controller);
            arrived += 1;
            ask({}, controller.signal).then(
              (admitted) => {
                if (admitted.kind === 'granted') running.push(admitted.permit);
                else ended += 1;
              },
              () => (ended += 1),
            );
          };
          for (const { kind, ...rest } of actions) {
            const which = 'which' in rest ? rest.which : 0;
            if (kind === 'arrive') arrive();
            else if (kind === 'cancel') controllers.at(which % Math.max(1, controllers.length))?.abort();
            else {
              const [permit] = running.splice(which % Math.max(1, running.length), 1);
              permit?.release();
              if (permit !== undefined) ended += 1;
            }
            await new Promise(setImmediate);
            expect(running.length).toBeLessThanOrEqual(permits);
            expect(admission.queued).toBeLessThanOrEqual(depth);
            expect(admission.permitsInUse).toBe(running.length);
            expect(arrived).toBe(ended + running.length + admission.queued);
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
