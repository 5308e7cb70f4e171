import { HearthError } from '@hearth/protocol';

/** How much work may be outstanding. Both are at least 1 and 0 respectively; see {@link Admission}. */
export interface AdmissionLimits {
  /** Requests that run at once. @default 1 */
  readonly activePermits: number;
  /** Requests that wait behind them. @default 10 */
  readonly queueDepth: number;
}

/** The right to run. Given back exactly once; giving it back again does nothing. */
export interface Permit {
  /** How long the request waited for it, in milliseconds. */
  readonly waitedMs: number;
  release(): void;
}

/** What became of a request to run. Cancellation is not an error. */
export type Admitted = { readonly kind: 'granted'; readonly permit: Permit } | { readonly kind: 'cancelled' };

interface Waiter {
  readonly since: number;
  readonly grant: (permit: Permit) => void;
  readonly refuse: (error: HearthError) => void;
}

/**
 * The one gate through which every request passes, whatever surface it came by (row 64).
 *
 * At most `activePermits` hold a permit; at most `queueDepth` more wait, first come first served (row 61). One
 * more is refused at once with `queue_full` (rows 60, 63): nothing that is refused costs a turn. Outstanding
 * work never exceeds the sum of both.
 */
export class Admission {
  readonly limits: AdmissionLimits;
  readonly #now: () => number;
  readonly #onChange: () => void;
  /** In order of arrival: a Set keeps it and forgets a cancelled waiter in constant time. */
  readonly #waiting = new Set<Waiter>();
  #inUse = 0;
  #closed = false;

  /**
   * @param now monotonic milliseconds.
   * @param onChange called after each change of the counts.
   * @throws RangeError that quotes the limit, where one is out of range.
   */
  constructor(limits: AdmissionLimits, now: () => number, onChange: () => void = () => undefined) {
    requireAtLeast('activePermits', limits.activePermits, 1);
    requireAtLeast('queueDepth', limits.queueDepth, 0);
    this.limits = limits;
    this.#now = now;
    this.#onChange = onChange;
  }

  get permitsInUse(): number {
    return this.#inUse;
  }

  get queued(): number {
    return this.#waiting.size;
  }

  /**
   * Waits for a permit. Aborting `signal` while waiting leaves the queue at once (row 67).
   *
   * @throws HearthError `queue_full` when permits and queue are taken; `draining` once closed. Both before any
   *   waiting.
   */
  async acquire(signal: AbortSignal): Promise<Admitted> {
    if (signal.aborted) return { kind: 'cancelled' };
    if (this.#closed) throw drainingError();
    if (this.#inUse < this.limits.activePermits) {
      this.#inUse += 1;
      this.#onChange();
      return { kind: 'granted', permit: this.#makePermit(0) };
    }
    if (this.#waiting.size >= this.limits.queueDepth) throw queueFullError();
    return this.#wait(signal);
  }

  /** Refuses all who wait and all who come, with `draining`. Permits that are out stay out (row 65). */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const waiters = [...this.#waiting];
    this.#waiting.clear();
    for (const waiter of waiters) waiter.refuse(drainingError());
    this.#onChange();
  }

  #wait(signal: AbortSignal): Promise<Admitted> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        if (this.#waiting.delete(waiter)) {
          this.#onChange();
          resolve({ kind: 'cancelled' });
        }
      };
      const waiter: Waiter = {
        since: this.#now(),
        grant: (permit) => {
          signal.removeEventListener('abort', leave);
          resolve({ kind: 'granted', permit });
        },
        refuse: (error) => {
          signal.removeEventListener('abort', leave);
          reject(error);
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#waiting.add(waiter);
      this.#onChange();
    });
  }

  #makePermit(waitedMs: number): Permit {
    let held = true;
    return {
      waitedMs,
      release: () => {
        if (!held) return;
        held = false;
        this.#passOn();
      },
    };
  }

  /** The permit goes straight to the head of the queue, so that nobody who comes just now slips in between. */
  #passOn(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#inUse -= 1;
    } else {
      this.#waiting.delete(next);
      next.grant(this.#makePermit(this.#now() - next.since));
    }
    this.#onChange();
  }
}

function requireAtLeast(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new RangeError(`${name} must be a whole number of at least ${String(least)}, not ${String(value)}`);
}

function queueFullError(): HearthError {
  return new HearthError('queue_full', 'queue full: try again when a running request has ended');
}

function drainingError(): HearthError {
  return new HearthError('draining', 'Hearth is shutting down: connect again when it is back');
}
