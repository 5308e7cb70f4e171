import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SideDoor } from './side-door.js';

const never = new AbortController().signal;

/** Work that ends when it is told to. */
function gate(): {
  readonly work: () => Promise<string>;
  readonly open: () => void;
  readonly begun: () => boolean;
} {
  let [begun, open] = [false, (): void => undefined];
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return {
    work: async () => {
      begun = true;
      await opened;
      return 'done';
    },
    open,
    begun: () => begun,
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a few are worked on at once, the others wait for their turn', async () => {
  const door = new SideDoor({ atOnce: 2, waiting: 4 });
  const gates = Array.from({ length: 4 }, gate);
  const results = gates.map(({ work }) => door.pass('a', never, work).catch(String));
  await turn();
  expect(gates.map(({ begun }) => begun())).toEqual([true, true, false, false]);
  gates[1]?.open();
  await turn();
  expect(gates.map(({ begun }) => begun())).toEqual([true, true, true, false]);
  for (const { open } of gates) open();
  expect(await Promise.all(results)).toEqual(['done', 'done', 'done', 'done']);
});

test('beyond what may wait it refuses at once, and one client takes half of the places', async () => {
  const door = new SideDoor({ atOnce: 1, waiting: 4 });
  const first = gate();
  const inside = door.pass('a', never, first.work);
  const waiting = ['a', 'a'].map((client) => door.pass(client, never, () => Promise.resolve('late')));
  await expect(door.pass('a', never, first.work)).rejects.toMatchObject({
    code: 'queue_full',
    retryAfterMs: 250,
  });
  const others = ['b', 'b'].map((client) => door.pass(client, never, () => Promise.resolve('late')));
  await expect(door.pass('c', never, first.work)).rejects.toMatchObject({ code: 'queue_full' });
  first.open();
  expect(await Promise.all([inside, ...waiting, ...others])).toEqual([
    'done',
    'late',
    'late',
    'late',
    'late',
  ]);
});

test('who is cancelled while waiting leaves its place to the next', async () => {
  const door = new SideDoor({ atOnce: 1, waiting: 2, waitingOfOne: 2 });
  const first = gate();
  const inside = door.pass('a', never, first.work);
  const cancel = new AbortController();
  const given = gate();
  const lost = door.pass('a', cancel.signal, given.work);
  cancel.abort(new Error('gone'));
  await expect(lost).rejects.toThrow('gone');
  const next = door.pass('a', never, () => Promise.resolve('next'));
  first.open();
  expect(await Promise.all([inside, next])).toEqual(['done', 'next']);
  expect(given.begun()).toBe(false);
});

test('work that fails gives its place back', async () => {
  const door = new SideDoor({ atOnce: 1, waiting: 0 });
  await expect(door.pass('a', never, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await door.pass('a', never, () => Promise.resolve('yes'))).toBe('yes');
});

test('whatever comes and goes, no more than may are inside, and all places are free at the end', async () => {
  const event = fc.record({
    client: fc.constantFrom('a', 'b', 'c'),
    cancels: fc.boolean(),
    ticks: fc.nat(3),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 40 }), async (events) => {
      const door = new SideDoor({ atOnce: 2, waiting: 5 });
      let [inside, most] = [0, 0];
      const all = events.map(async ({ client, cancels, ticks }) => {
        const cancel = new AbortController();
        const passed = door.pass(client, cancel.signal, async () => {
          inside += 1;
          most = Math.max(most, inside);
          for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve();
          inside -= 1;
        });
        if (cancels) cancel.abort(new Error('gone'));
        await passed.catch(() => undefined);
      });
      await Promise.all(all);
      expect(most).toBeLessThanOrEqual(2);
      const last = [1, 2].map(() => gate());
      const passing = last.map(({ work }) => door.pass('d', never, work));
      expect(last.every(({ begun }) => begun())).toBe(true);
      for (const { open } of last) open();
      await Promise.all(passing);
    }),
    { numRuns: 50 },
  );
});
