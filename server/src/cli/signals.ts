import type { Daemon } from '../daemon.js';

/** What {@link stopOnSignals} gives. */
export interface Stopping {
  /** Aborted when the first signal comes. */
  readonly signal: AbortSignal;
  /** Resolves when the daemon has ended, for whatever reason. */
  readonly done: Promise<void>;
  /** Ends the daemon as a signal would. */
  stop(): void;
}

/** SIGINT, SIGTERM and the loss of the terminal drain the daemon; each further one hastens it (row 146). */
export function stopOnSignals(daemon: Daemon): Stopping {
  const controller = new AbortController();
  let finish: (end: Promise<void>) => void = () => undefined;
  const done = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const stop = (): void => {
    controller.abort();
    finish(daemon.stop());
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  process.on('SIGHUP', stop);
  return { signal: controller.signal, done, stop };
}

/** Aborted when a signal asks a command to end before it is done. */
export function onInterrupt(): AbortSignal {
  const controller = new AbortController();
  const abort = (): void => {
    controller.abort();
  };
  process.once('SIGINT', abort);
  process.once('SIGTERM', abort);
  return controller.signal;
}
