/**
 * When a worker that died is started again. Each policy is one moment in the life of a worker; what comes next is
 * another policy, or nothing when the budget is spent. A worker that ran long enough starts afresh (rows 117, 118).
 */
export interface RestartOptions {
  /** Restarts before giving up. Default: 3. */
  readonly budget: number;
  /** Wait before the first restart in milliseconds; doubles with each. Default: 500. */
  readonly firstDelayMs: number;
  /** Longest wait in milliseconds. Default: 30 000. */
  readonly longestDelayMs: number;
  /** A worker that was ready for so long has its budget back. Default: 30 000 ms. */
  readonly stableMs: number;
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
    const { budget, firstDelayMs, longestDelayMs, stableMs } = this.#options;
    const spent = readyMs >= stableMs ? 0 : this.#spent;
    if (spent >= budget) return undefined;
    const delayMs = Math.min(firstDelayMs * 2 ** spent, longestDelayMs);
    return { attempt: spent + 1, delayMs, next: new RestartPolicy(this.#options, spent + 1) };
  }
}
