import { describe, expect, it, vi } from 'vitest';
import { throttle } from './throttle.js';

/** Timers that fire when told. */
function handTimers(): { set: (run: () => void) => unknown; clear: () => void; fire: () => Promise<void> } {
  let due: (() => void) | undefined;
  return {
    set: (run) => {
      due = run;
      return run;
    },
    clear: () => {
      due = undefined;
    },
    fire: async () => {
      due?.();
      due = undefined;
      await vi.waitFor(() => Promise.resolve());
    },
  };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('throttle', () => {
  it('sends at once, then once more for everything that came meanwhile', async () => {
    const timers = handTimers();
    const send = vi.fn(async () => {});
    const { notify } = throttle(100, send, timers);
    notify();
    notify();
    notify();
    await settled();
    expect(send).toHaveBeenCalledTimes(1);
    await timers.fire();
    await settled();
    expect(send).toHaveBeenCalledTimes(2);
    await timers.fire();
    await settled();
    expect(send).toHaveBeenCalledTimes(2);
  });

  it('waits for a slow send', async () => {
    const timers = handTimers();
    let finish = (): void => {};
    const send = vi.fn(() => new Promise<void>((resolve) => (finish = resolve)));
    const { notify } = throttle(100, send, timers);
    notify();
    notify();
    await timers.fire();
    await settled();
    expect(send).toHaveBeenCalledTimes(1);
    finish();
    await settled();
    await timers.fire();
    await settled();
    expect(send).toHaveBeenCalledTimes(2);
  });

  it('says nothing after it was disposed', async () => {
    const timers = handTimers();
    const send = vi.fn(async () => {});
    const { notify, dispose } = throttle(100, send, timers);
    notify();
    notify();
    await settled();
    dispose();
    await timers.fire();
    await settled();
    expect(send).toHaveBeenCalledTimes(1);
  });
});
