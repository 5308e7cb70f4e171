import { describe, expect, it, vi } from 'vitest';
import { textPump } from './text-pump.js';

describe('the text pump', () => {
  it('writes everything in order, joining what comes during a write', async () => {
    const written: string[] = [];
    const pump = textPump(async (text) => {
      await new Promise((resolve) => setImmediate(resolve));
      written.push(text);
      return true;
    }, vi.fn());
    for (const piece of ['a', 'b', 'c']) pump.push(piece);
    await new Promise((resolve) => setImmediate(resolve));
    pump.push('d');
    expect(await pump.finished()).toBe(true);
    expect(written.join('')).toBe('abcd');
    expect(written.length).toBeLessThan(4);
  });

  it.each([
    ['refused', () => Promise.resolve(false)],
    ['failed', () => Promise.reject(new Error('closed'))],
  ])('writes nothing after a write that %s, and says so once', async (_name, write) => {
    const refused = vi.fn();
    const spy = vi.fn(write);
    const pump = textPump(spy, refused);
    pump.push('a');
    expect(await pump.finished()).toBe(false);
    pump.push('b');
    expect(await pump.finished()).toBe(false);
    expect(spy).toHaveBeenCalledTimes(1);
    expect(refused).toHaveBeenCalledTimes(1);
  });
});
