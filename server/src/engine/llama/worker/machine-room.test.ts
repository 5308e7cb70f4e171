import { expect, test } from 'vitest';
import { MachineRoom } from './machine-room.js';

/** A machine of two cores on which this process uses one, and others as much as `others` says. */
function machine(others: () => number): { room: MachineRoom; at: (now: number) => boolean | undefined } {
  let [last, busyMs, ownMs] = [0, 0, 0];
  let time = 0;
  const read = () => {
    ownMs += time - last;
    busyMs += (1 + others()) * (time - last);
    last = time;
    return { cores: 2, busyMs, ownMs };
  };
  const room = new MachineRoom({ read, everyMs: 250 });
  return {
    room,
    at: (now) => {
      time = now;
      return room.has(2, now);
    },
  };
}

test('it says nothing until it has looked twice', () => {
  const { at } = machine(() => 0);
  expect(at(0)).toBeUndefined();
  expect(at(100)).toBeUndefined();
  expect(at(300)).toBe(true);
});

test('a core that others keep busy leaves no room for two threads, and room again when they have gone', () => {
  let others = 1;
  const { at } = machine(() => others);
  at(0);
  expect(at(300)).toBe(false);
  others = 0.1;
  expect(at(600)).toBe(true);
});

test('what it read long ago says nothing of now', () => {
  const { at } = machine(() => 1);
  at(0);
  expect(at(60_000)).toBeUndefined();
  expect(at(60_300)).toBe(false);
});

test('by default it asks the system', () => {
  const room = new MachineRoom({ everyMs: 1 });
  room.has(1, 0);
  expect(typeof room.has(1, 1)).toBe('boolean');
});
