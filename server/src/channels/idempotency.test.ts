import { describe, expect, it } from 'vitest';
import { idempotencyKeys, IdempotencyWindow, idempotencyWindowMs } from './idempotency.js';

describe('row 166: a key within the window', () => {
  it('does the work once, and gives the first result again', async () => {
    const window = new IdempotencyWindow<number>(() => 0);
    let works = 0;
    const work = async (): Promise<number> => Promise.resolve((works += 1));
    const both = await Promise.all([window.once('c', 'k', 'x', work), window.once('c', 'k', 'x', work)]);
    expect(both).toEqual([
      { result: 1, duplicate: false },
      { result: 1, duplicate: true },
    ]);
    // Another channel has keys of its own.
    expect(await window.once('d', 'k', 'x', work)).toEqual({ result: 2, duplicate: false });
  });

  it('refuses other content, forgets what failed, and what is too old', async () => {
    let now = 0;
    const window = new IdempotencyWindow<string>(() => now);
    await expect(window.once('c', 'k', 'x', async () => Promise.reject(new Error('disk')))).rejects.toThrow(
      'disk',
    );
    expect(await window.once('c', 'k', 'y', async () => Promise.resolve('done'))).toMatchObject({
      duplicate: false,
    });
    await expect(window.once('c', 'k', 'z', async () => Promise.resolve('no'))).rejects.toMatchObject({
      code: 'conflict',
    });
    now = idempotencyWindowMs;
    expect(await window.once('c', 'k', 'z', async () => Promise.resolve('again'))).toMatchObject({
      duplicate: false,
    });
  });

  it('remembers so many and no more', async () => {
    const window = new IdempotencyWindow<number>(() => 0);
    for (let n = 0; n <= idempotencyKeys; n += 1)
      await window.once('c', String(n), '', async () => Promise.resolve(n));
    expect(window.size).toBe(idempotencyKeys);
    expect(await window.once('c', '0', '', async () => Promise.resolve(0))).toMatchObject({
      duplicate: false,
    });
  });
});
