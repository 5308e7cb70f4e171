/**
 * When a worker or a service that died is started again. Each policy is one moment in its life; what comes next is
 * another policy, or nothing when the budget is spent. One that ran long enough starts afresh (rows 117, 118).
 */
export interface RestartOptions {
  /** Restarts before giving up. Default: 3. */
  readonly budget: number;
  /** Wait before the first restart in milliseconds. Default: 500. */
  readonly firstDelayMs: number;
  /** By how much each wait is longer than the one before. Default: 2. */
  readonly growth?: number;
  /** Longest wait in milliseconds. Default: 30 000. */
  readonly longestDelayMs: number;
  /** A worker that was ready for so long has its budget back. Default: 30 000 ms. */
  readonly stableMs: number;
}

/** InfiniLM-SVC's way: a wait that stays the same, and a count of the whole life (row 119). */
export function fixedRestarts(maxRestarts: number, delayMs: number): RestartOptions {
  return {
    budget: maxRestarts,
    firstDelayMs: delayMs,
    growth: 1,
    longestDelayMs: delayMs,
    stableMs: Infinity,
  };
}

export const defaultRestartOptions: RestartOptions = {
  budget: 3,
  firstDelayMs: 500,
  longestDelayMs: 30_000,
  stableMs: 30_000,
};

/** What to do after a death. */
export interface Restart {
  /** 1 for the first restart. */
  readonly attempt: number;
  readonly delayMs: number;
  /** The policy for the death after this one. */
  readonly next: RestartPolicy;
}

export class RestartPolicy {
  readonly #options: RestartOptions;
  readonly #spent: number;

  constructor(options: RestartOptions = defaultRestartOptions, spent = 0) {
    this.#options = options;
    this.#spent = spent;
  }

  /** @param readyMs How long the worker was ready before it died; 0 if it never was. */
  afterDeath(readyMs: number): Restart | undefined {
    const { budget, firstDelayMs, growth = 2, longestDelayMs, stableMs } = this.#options;
    const spent = readyMs >= stableMs ? 0 : this.#spent;
    if (spent >= budget) return undefined;
    const delayMs = Math.min(firstDelayMs * growth ** spent, longestDelayMs);
    return { attempt: spent + 1, delayMs, next: new RestartPolicy(this.#options, spent + 1) };
  }
}
