import type { Engine } from '../engine/engine.js';

/** Why the daemon did not get ready. `message` says it to the person who started it. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError';
}

/**
 * Resolves, with the milliseconds that it took, once every engine is ready (rows 46, 48). Nothing is polled: an
 * engine's own `state` events decide.
 *
 * @param timeoutMs 0: wait for ever.
 * @throws NotReadyError when the time is up (row 47), at once when an engine has failed, and at once when there
 *   is no engine to wait for.
 */
export async function waitForReady(
  engines: readonly Engine[],
  timeoutMs: number,
  signal: AbortSignal,
  now: () => number = () => performance.now(),
): Promise<number> {
  if (engines.length === 0) throw new NotReadyError('not ready: there is no engine to wait for');
  const since = now();
  return new Promise((resolve, reject) => {
    const timer =
      timeoutMs === 0
        ? undefined
        : setTimeout(() => {
            settle(
              new NotReadyError(`not ready after ${String(timeoutMs / 1000)} s: ${describeUnready(engines)}`),
            );
          }, timeoutMs);
    const settle = (outcome: number | Error): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      for (const engine of engines) engine.events.off('state', look);
      if (typeof outcome === 'number') resolve(outcome);
      else reject(outcome);
    };
    const onAbort = (): void => {
      settle(new NotReadyError('not ready: the daemon was told to stop while it was starting'));
    };
    const look = (): void => {
      const failed = engines.find((engine) => engine.state.kind === 'failed');
      if (failed?.state.kind === 'failed') {
        settle(new NotReadyError(`not ready: ${failed.name} failed: ${failed.state.reason}`));
      } else if (engines.every((engine) => engine.state.kind === 'ready')) {
        settle(now() - since);
      }
    };
    signal.addEventListener('abort', onAbort, { once: true });
    for (const engine of engines) engine.events.on('state', look);
    if (signal.aborted) onAbort();
    else look();
  });
}

function describeUnready(engines: readonly Engine[]): string {
  const unready = engines.filter((engine) => engine.state.kind !== 'ready');
  return `${unready.map((engine) => `${engine.name} is ${engine.state.kind}`).join(', ')}; a bigger model needs a longer --ready-timeout-secs`;
}
