import { EventEmitter } from 'node:events';
import type { ChildExit, ChildGroup } from './child-group.js';
import { RestartPolicy, type RestartOptions } from './restart-policy.js';

/** What becomes of a supervised service. */
export type ServiceState =
  | { readonly kind: 'starting' }
  | { readonly kind: 'ready' }
  /** It runs and does not answer, or took too long to begin. */
  | { readonly kind: 'unresponsive'; readonly reason: string }
  | {
      readonly kind: 'restarting';
      readonly attempt: number;
      readonly delayMs: number;
      readonly reason: string;
    }
  /** It is not started again (row 117). */
  | { readonly kind: 'given_up'; readonly reason: string }
  | { readonly kind: 'stopped' };

export interface SupervisorParts {
  /** Starts the service. A rejection counts as a death of its reason. */
  readonly start: () => Promise<ChildGroup>;
  /** Resolves when the service is ready. Rejects once the signal is aborted. */
  readonly untilReady: (signal: AbortSignal) => Promise<void>;
  /** Whether a service that was ready still answers. */
  readonly answers: (signal: AbortSignal) => Promise<boolean>;
  /** Waits; resolves early, too, when the signal is aborted. */
  readonly delay: (milliseconds: number, signal: AbortSignal) => Promise<void>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

export interface SupervisorOptions {
  readonly restarts: RestartOptions;
  /** Not ready after so long: it is called unresponsive, and goes on. Milliseconds. @default 60 000 */
  readonly startupMs: number;
  /** Between two looks at a service that is ready. Milliseconds. @default 5000 */
  readonly livenessMs: number;
  /** Silent for so many looks in a row: unresponsive. @default 3 */
  readonly missedAnswers: number;
  /** From SIGTERM to SIGKILL. Milliseconds. @default 5000 */
  readonly graceMs: number;
}

export const defaultSupervisorOptions: Omit<SupervisorOptions, 'restarts'> = {
  startupMs: 60_000,
  livenessMs: 5000,
  missedAnswers: 3,
  graceMs: 5000,
};

/**
 * Keeps one service running (rows 116 to 120): starts it, waits until it is ready, notices its end by the event of its
 * end, and starts it again as the policy has it. Nothing is started once {@link stop} was called.
 */
export class Supervisor {
  readonly events = new EventEmitter<{ state: [state: ServiceState] }>();
  readonly #parts: SupervisorParts;
  readonly #options: SupervisorOptions;
  readonly #stopping = new AbortController();
  #state: ServiceState = { kind: 'starting' };
  #child: ChildGroup | undefined;
  #restarts = 0;
  #running: Promise<'stopped' | 'given_up'> | undefined;

  constructor(parts: SupervisorParts, options: SupervisorOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  get state(): ServiceState {
    return this.#state;
  }

  /** Starts after the first. */
  get restartCount(): number {
    return this.#restarts;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Runs the service until it is stopped or given up. Calling it again returns the same promise. */
  run(): Promise<'stopped' | 'given_up'> {
    this.#running ??= this.#run();
    return this.#running;
  }

  /** Ends the service and whatever would start it again. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#child?.stop(this.#options.graceMs);
    await this.#running;
    this.#setState({ kind: 'stopped' });
  }

  async #run(): Promise<'stopped' | 'given_up'> {
    const { signal } = this.#stopping;
    const isStopping = (): boolean => signal.aborted;
    for (let policy = new RestartPolicy(this.#options.restarts); !isStopping();) {
      this.#setState({ kind: 'starting' });
      const { readyMs, reason } = await this.#live();
      if (isStopping()) break;
      const restart = policy.afterDeath(readyMs);
      if (restart === undefined) {
        this.#setState({ kind: 'given_up', reason });
        return 'given_up';
      }
      const { attempt, delayMs } = restart;
      this.#setState({ kind: 'restarting', attempt, delayMs, reason });
      await this.#parts.delay(delayMs, signal);
      if (isStopping()) break;
      this.#restarts += 1;
      policy = restart.next;
    }
    return 'stopped';
  }

  /** One life of the service. */
  async #live(): Promise<{ readonly readyMs: number; readonly reason: string }> {
    let child: ChildGroup;
    try {
      child = await this.#parts.start();
    } catch (error) {
      return { readyMs: 0, reason: error instanceof Error ? error.message : 'it could not be started' };
    }
    this.#child = child;
    if (this.#stopping.signal.aborted) await child.stop(this.#options.graceMs);
    const over = new AbortController();
    const watching = this.#watch(over.signal);
    const exit = await child.exited;
    over.abort();
    const readyAt = await watching;
    this.#child = undefined;
    return { readyMs: readyAt === undefined ? 0 : this.#parts.now() - readyAt, reason: describeExit(exit) };
  }

  /** Follows one life until it is over. When it was ready, if ever. */
  async #watch(over: AbortSignal): Promise<number | undefined> {
    const late = setTimeout(() => {
      this.#setState({ kind: 'unresponsive', reason: 'it was not ready in time' });
    }, this.#options.startupMs);
    try {
      await this.#parts.untilReady(over);
    } catch {
      return undefined;
    } finally {
      clearTimeout(late);
    }
    if (over.aborted) return undefined;
    const readyAt = this.#parts.now();
    this.#setState({ kind: 'ready' });
    await this.#watchAnswers(over);
    return readyAt;
  }

  async #watchAnswers(over: AbortSignal): Promise<void> {
    // Asked anew each time: it changes while this waits.
    const isOver = (): boolean => over.aborted;
    for (let missed = 0; ;) {
      await this.#parts.delay(this.#options.livenessMs, over);
      if (isOver()) return;
      const answers = await this.#parts.answers(over);
      // It may have ended while it was asked.
      if (isOver()) return;
      missed = answers ? 0 : missed + 1;
      if (answers) this.#setState({ kind: 'ready' });
      else if (missed >= this.#options.missedAnswers)
        this.#setState({ kind: 'unresponsive', reason: 'it does not answer' });
    }
  }

  #setState(state: ServiceState): void {
    const before = this.#state;
    if (before.kind === 'stopped' || (this.#stopping.signal.aborted && state.kind !== 'stopped')) return;
    this.#state = state;
    if (before.kind !== state.kind || state.kind === 'restarting') this.events.emit('state', state);
  }
}

/** How a service ended, for the person who looks after it. */
export function describeExit(exit: ChildExit): string {
  switch (exit.kind) {
    case 'exited':
      return `it exited with code ${exit.code}`;
    case 'killed':
      return `it was ended by ${exit.signal}`;
    case 'not_started':
      return exit.code === 'ENOENT'
        ? 'the program or its working directory does not exist'
        : `it could not be started (${exit.code})`;
  }
}
