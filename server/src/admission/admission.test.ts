import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Admission, type Admitted, type Permit } from './admission.js';

const never = new AbortController().signal;

function gate(activePermits: number, queueDepth: number): Admission {
  return new Admission({ activePermits, queueDepth }, () => 0);
}

async function granted(admitted: Promise<Admitted>): Promise<Permit> {
  const result = await admitted;
  if (result.kind !== 'granted') throw new Error('was cancelled');
  return result.permit;
}

describe('admission', () => {
  it('row 59: with one permit, the second waits until the first has given it back', async () => {
    const admission = gate(1, 1);
    const first = await granted(admission.acquire(never));
    let secondRuns = false;
    const second = granted(admission.acquire(never)).then((permit) => {
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
    const admission = gate(1, 10);
    const accepted = Array.from({ length: 11 }, () => admission.acquire(never));
    await expect(admission.acquire(never)).rejects.toMatchObject({ code: 'queue_full' });
    expect(admission.queued).toBe(10);
    for (const one of accepted) (await granted(one)).release();
  });

  it('row 61: who waits is served in the order of arrival', async () => {
    const admission = gate(1, 5);
    const first = await granted(admission.acquire(never));
    const order: number[] = [];
    const waiting = [1, 2, 3, 4, 5].map(async (number) => {
      const permit = await granted(admission.acquire(never));
      order.push(number);
      permit.release();
    });
    first.release();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3, 4, 5]);
  });

  it('row 63: with depth 0, the second is refused while the first runs', async () => {
    const admission = gate(1, 0);
    const first = await granted(admission.acquire(never));
    await expect(admission.acquire(never)).rejects.toMatchObject({ code: 'queue_full' });
    first.release();
    (await granted(admission.acquire(never))).release();
  });

  it('row 67: who is cancelled while waiting leaves the queue and takes no turn', async () => {
    const admission = gate(1, 2);
    const first = await granted(admission.acquire(never));
    const controller = new AbortController();
    const cancelled = admission.acquire(controller.signal);
    const last = admission.acquire(never);
    controller.abort();
    expect(await cancelled).toEqual({ kind: 'cancelled' });
    expect(admission.queued).toBe(1);
    first.release();
    (await granted(last)).release();
  });

  it('row 65: closing refuses who waits and who comes, and leaves who runs', async () => {
    const admission = gate(1, 2);
    const first = await granted(admission.acquire(never));
    const waiting = admission.acquire(never);
    admission.close();
    await expect(waiting).rejects.toMatchObject({ code: 'draining' });
    await expect(admission.acquire(never)).rejects.toMatchObject({ code: 'draining' });
    first.release();
    expect(admission.permitsInUse).toBe(0);
  });

  it('gives back a permit once, however often it is released', async () => {
    const admission = gate(2, 0);
    const one = await granted(admission.acquire(never));
    await granted(admission.acquire(never));
    one.release();
    one.release();
    expect(admission.permitsInUse).toBe(1);
  });

  it('says how long a request has waited', async () => {
    let now = 100;
    const admission = new Admission({ activePermits: 1, queueDepth: 1 }, () => now);
    const first = await granted(admission.acquire(never));
    const second = granted(admission.acquire(never));
    now = 350;
    first.release();
    expect((await second).waitedMs).toBe(250);
  });

  it.each([
    { activePermits: 0, queueDepth: 0 },
    { activePermits: 1, queueDepth: -1 },
    { activePermits: 1.5, queueDepth: 0 },
  ])('refuses limits that make no sense: %o', (limits) => {
    expect(() => new Admission(limits, () => 0)).toThrow(RangeError);
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
          const admission = gate(permits, depth);
          const running: Permit[] = [];
          const controllers: AbortController[] = [];
          let arrived = 0;
          let ended = 0;
          const arrive = (): void => {
            const controller = new AbortController();
            controllers.push(controller);
            arrived += 1;
            admission.acquire(controller.signal).then(
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
