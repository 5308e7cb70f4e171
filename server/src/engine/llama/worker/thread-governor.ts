/**
 * Chooses how many threads decode. llama.cpp's threads wait for each other by spinning, so one busy core makes a
 * step many times slower as soon as more than one thread takes part. This watches how long steps take: it goes down
 * to one thread at once when a step takes far longer than usual, and tries the full width again later, with longer
 * pauses when that keeps failing.
 */
export interface GovernorOptions {
  /** Threads when all is quiet, at least 1. */
  readonly widest: number;
  /** A step that takes this many times the median is a jump. Default: 4. */
  readonly jump?: number;
  /** Milliseconds until the full width is tried again after the first jump; doubles up to 60 s. Default: 2000. */
  readonly retryMs?: number;
}

const windowSize = 31;
const longestRetryMs = 60_000;
/** Steps of one kind before their median says anything. */
const enough = 8;

export class ThreadGovernor {
  readonly #widest: number;
  readonly #jump: number;
  readonly #firstRetryMs: number;
  #threads: number;
  #recent: number[] = [];
  #retryAt = 0;
  #retryMs: number;
  /** Median step at full width, from before the jump. */
  #usual: number | undefined;

  constructor(options: GovernorOptions) {
    this.#widest = Math.max(1, options.widest);
    this.#jump = options.jump ?? 4;
    this.#firstRetryMs = options.retryMs ?? 2000;
    this.#retryMs = this.#firstRetryMs;
    this.#threads = this.#widest;
  }

  /**
   * Takes the time of one decode step, of steps of equal width only, and gives the threads for the next.
   *
   * @param milliseconds How long the step took.
   * @param now A monotonic clock in milliseconds.
   */
  observe(milliseconds: number, now: number): number {
    if (this.#widest === 1) return 1;
    if (this.#threads === 1) {
      if (now >= this.#retryAt) this.#threads = this.#widest;
      return this.#threads;
    }
    const usual = this.#usual ?? (this.#recent.length >= enough ? median(this.#recent) : undefined);
    if (usual !== undefined && milliseconds > usual * this.#jump) {
      this.#usual = usual;
      this.#threads = 1;
      this.#retryAt = now + this.#retryMs;
      this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
      return 1;
    }
    this.#recent = [...this.#recent, milliseconds].slice(-windowSize);
    if (this.#recent.length === windowSize) {
      this.#usual = undefined;
      this.#retryMs = this.#firstRetryMs;
    }
    return this.#threads;
  }

  /** Forgets the times of steps, for steps of another width. */
  reset(): void {
    this.#recent = [];
    this.#usual = undefined;
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
