import { expect, test } from 'vitest';
import { calibrateBatch } from './calibrate-batch.js';

/** `msOf`: a piece's time. `others`: cores that other work keeps busy. */
async function calibrate(msOf: (tokens: number) => number, { most = 512, tokenMs = 1, others = 0 } = {}) {
  const tried: number[] = [];
  let now = 0;
  const batch = await calibrateBatch(
    (tokens) => {
      tried.push(tokens);
      now += msOf(tokens);
      return Promise.resolve(msOf(tokens));
    },
    { most, tokenMs },
    { now: () => now, read: () => ({ cores: 2, busyMs: (1 + others) * now, ownMs: now }) },
  );
  return { ...batch, tried, took: now };
}

test('where a token costs the same in a piece of any size, it is 128, since later in a prompt 64 is dearer', async () => {
  const { tokens, tried } = await calibrate((size) => size * 0.2);
  expect(tokens).toBe(128);
  expect(tried).toEqual([64, 64, 128, 128, 256, 256]);
});

test('where pieces of 128 are plainly dearer, the smallest is taken', async () => {
  expect((await calibrate((size) => (size === 64 ? 64 : size * 1.2))).tokens).toBe(64);
});

test('it goes up as long as that makes a token cheaper', async () => {
  expect((await calibrate((size) => 10 + size * 0.01)).tokens).toBe(512);
  // 8 ms a step: 64 → 128 gains a quarter, 128 → 256 a seventh, and 256 → 512 a twelfth of a token's time.
  expect((await calibrate((size) => 8 + size * 0.3)).tokens).toBe(256);
});

test('a piece that something else disturbed is tried again before it counts', async () => {
  let calls = 0;
  const { tokens } = await calibrate((size) => (calls++ === 2 ? 200 : 10 + size * 0.01), { most: 128 });
  expect(tokens).toBe(128);
});

test('it never goes beyond what a step holds', async () => {
  const { tokens, tried } = await calibrate(() => 1, { most: 200 });
  expect(tokens).toBe(128);
  expect(Math.max(...tried)).toBe(128);
  expect((await calibrate(() => 1, { most: 32 })).tokens).toBe(32);
});

test('nothing is begun that would take longer than a second and a half', async () => {
  const slow = await calibrate((size) => size * 8, { tokenMs: 20 });
  expect(slow).toMatchObject({ tokens: 64, tried: [64, 64] });
  expect(slow.took).toBeLessThan(1500);
  // So slow that not even the smallest is tried.
  expect(await calibrate((size) => size * 300, { tokenMs: 300 })).toMatchObject({
    tokens: 64,
    from: 'fixed',
    tried: [],
  });
});

test('measured while others kept half a core busy, it says so', async () => {
  expect((await calibrate((size) => size)).from).toBe('measured');
  expect((await calibrate((size) => size, { others: 0.5 })).from).toBe('measured_busy');
});
