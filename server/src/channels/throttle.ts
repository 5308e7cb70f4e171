/** The timers that a throttle needs; Node's own by default, a test's where time is to be moved by hand. */
export interface Timers {
  readonly set: (run: () => void, delayMs: number) => unknown;
  readonly clear: (timer: unknown) => void;
}

const nodeTimers: Timers = {
  set: (run, delayMs) => setTimeout(run, delayMs),
  clear: (timer) => clearTimeout(timer as NodeJS.Timeout),
};

export interface Throttle {
  /** Says that there is something to send. */
  readonly notify: () => void;
  readonly dispose: () => void;
}

/**
 * Calls `send` at once after the first {@link Throttle.notify}, and then at most once in `intervalMs`, always once
 * more after the last. It also waits for `send` itself, so that a peer that reads slowly is sent less often and
 * nothing piles up. A `send` that fails ends the throttle: the connection is gone.
 */
export function throttle(
  intervalMs: number,
  send: () => Promise<void>,
  timers: Timers = nodeTimers,
): Throttle {
  let state: 'idle' | 'busy' | 'pending' | 'disposed' = 'idle';
  let timer: unknown;

  const rest = async (): Promise<void> => {
    await new Promise<void>((resolve) => {
      timer = timers.set(resolve, intervalMs);
    });
    if (state === 'busy') state = 'idle';
    else if (state === 'pending') run();
  };
  const run = (): void => {
    state = 'busy';
    send()
      .then(rest)
      .catch(() => {
        state = 'disposed';
      });
  };

  return {
    notify: () => {
      if (state === 'idle') run();
      else if (state === 'busy') state = 'pending';
    },
    dispose: () => {
      state = 'disposed';
      timers.clear(timer);
    },
  };
}
