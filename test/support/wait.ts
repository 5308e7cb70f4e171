import type { EventEmitter } from 'node:events';

/**
 * Waiting for events, with a ceiling that only a fault reaches. No test sleeps for a time and hopes.
 */

/** Longest wait for anything that should happen, in milliseconds: far above what a loaded machine needs. */
export const ceilingMs = 45_000;

/**
 * `promise`, or a failure that says what was waited for.
 *
 * @param describe what was waited for, and what there was instead; called only when time is up.
 */
export async function within<T>(
  promise: Promise<T>,
  describe: () => string,
  timeoutMs = ceilingMs,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`after ${timeoutMs} ms: ${describe()}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The first value other than undefined that `probe` gives. Asked again on each `change` event of `emitter`, and
 * now and then besides: for facts that the system keeps but does not announce, such as its table of processes.
 */
export async function until<T>(
  probe: () => T | undefined | Promise<T | undefined>,
  describe: () => string,
  timeoutMs = ceilingMs,
  emitter?: EventEmitter,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 1.5, 100)) {
    const value = await probe();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`after ${timeoutMs} ms: ${describe()}`);
    await changeOrPause(pauseMs, emitter);
  }
}

/**
 * The least of some measurements of a time in milliseconds. They end with the first that is below `bound`: what the
 * machine's other work spoils once is measured again, and what takes too long by itself takes too long each time.
 */
export async function least(
  bound: number,
  measure: (attempt: number) => Promise<number>,
  attempts = 5,
): Promise<number> {
  let best = Infinity;
  for (let attempt = 0; attempt < attempts && best >= bound; attempt += 1)
    best = Math.min(best, await measure(attempt));
  return best;
}

function changeOrPause(pauseMs: number, emitter: EventEmitter | undefined): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      emitter?.off('change', wake);
      resolve();
    };
    const timer = setTimeout(wake, pauseMs);
    emitter?.on('change', wake);
  });
}
