import { describe, expect, it, vi } from 'vitest';
import { tokenCounter } from './token-counter.js';

const lengths = (texts: readonly string[]): Promise<readonly number[]> =>
  Promise.resolve(texts.map(({ length }) => length));

describe('the token counter', () => {
  it('asks once for all texts of one tick, in requests of bounded size', async () => {
    const ask = vi.fn(lengths);
    const { count } = tokenCounter(ask, { batch: 2, remembered: 10, rememberedLength: 100 });
    expect(await Promise.all([count('a'), count('bb'), count('ccc')])).toEqual([1, 2, 3]);
    expect(ask.mock.calls).toEqual([[['a', 'bb']], [['ccc']]]);
  });

  it('remembers the latest counts, until it is told to forget', async () => {
    const ask = vi.fn(lengths);
    const { count, forget } = tokenCounter(ask, { batch: 9, remembered: 2, rememberedLength: 100 });
    for (const text of ['a', 'b', 'a', 'c', 'a']) await count(text);
    expect(ask).toHaveBeenCalledTimes(3);
    await count('b');
    expect(ask).toHaveBeenCalledTimes(4);
    forget();
    await count('b');
    expect(ask).toHaveBeenCalledTimes(5);
  });

  it('does not ask about nothing, and does not remember long texts', async () => {
    const ask = vi.fn(lengths);
    const { count } = tokenCounter(ask, { batch: 9, remembered: 2, rememberedLength: 1 });
    expect(await count('')).toBe(0);
    await count('long');
    await count('long');
    expect(ask).toHaveBeenCalledTimes(2);
  });

  it('fails for all who asked where the sidecar fails, and asks anew next time', async () => {
    const ask = vi.fn(lengths).mockRejectedValueOnce(new Error('gone'));
    const { count } = tokenCounter(ask);
    const both = await Promise.allSettled([count('a'), count('b')]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await count('a')).toBe(1);
  });
});
