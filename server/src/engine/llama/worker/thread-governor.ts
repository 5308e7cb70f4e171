/**
 * Chooses how many threads decode. llama.cpp's threads wait for each other by spinning, so one busy core makes a
 * step many times slower as soon as more than one thread takes part. This watches how long steps take: it goes down
 * to one thread at once when a step takes far longer than usual, and tries the full width again later, a few steps at
 * a time and with longer pauses while that is no gain. So it also finds the better width where the machine was busy
 * when the model was loaded.
 */
export interface GovernorOptions {
  /** Most threads, at least 1. */
  readonly widest: number;
  /** Threads to begin with, as measured: the widest or fewer. Default: the widest. */
  readonly first?: number;
  /** A step that takes this many times the median is a jump. Default: 4. */
  readonly jump?: number;
  /** Milliseconds until the full width is tried after the first jump; doubles up to 60 s. Default: 2000. */
  readonly retryMs?: number;
}

const windowSize = 31;
const longestRetryMs = 60_000;
/** Steps of one kind before their median says anything. */
const enough = 8;
/** Steps of a trial. */
const trialSteps = 4;
/** The full width stays when its steps take at most this part of a narrow one. */
const gain = 0.95;
/** How much longer steps of another width may take. */
const staleSlack = 2;
/** A trial ends at once when a step takes this many times a narrow one. */
const trialJump = 1.5;

export class ThreadGovernor {
  readonly #widest: number;
  readonly #jump: number;
  readonly #firstRetryMs: number;
  #threads: number;
  /** Steps at full width. */
  #wide: number[] = [];
  /** Median step at full width, from before it was left. */
  #usual: number | undefined;
  /** Whether that was of steps of another width. */
  #isStale = false;
  /** Steps with one thread. */
  #narrow: number[] = [];
  /** How many steps at full width since it was taken up, where that is a trial. */
  #trial: number | undefined;
  #retryAt: number | undefined;
  #retryMs: number;

  constructor(options: GovernorOptions) {
    this.#widest = Math.max(1, options.widest);
    this.#jump = options.jump ?? 4;
    this.#firstRetryMs = options.retryMs ?? 2000;
    this.#retryMs = this.#firstRetryMs;
    this.#threads = Math.max(1, Math.min(options.first ?? this.#widest, this.#widest));
  }

  /** Threads for the next step. */
  get threads(): number {
    return this.#threads;
  }

  /**
   * Takes the time of one decode step, of steps of equal width only, and gives the threads for the next.
   *
   * @param milliseconds How long the step took.
   * @param now A monotonic clock in milliseconds.
   */
  observe(milliseconds: number, now: number): number {
    if (this.#widest === 1) return 1;
    if (this.#threads === 1) this.#observeNarrow(milliseconds, now);
    else this.#observeWide(milliseconds, now);
    return this.#threads;
  }

  /** Forgets the times of steps, for steps of another width. */
  reset(): void {
    if (this.#wide.length >= enough) this.#usual = median(this.#wide);
    this.#isStale = true;
    this.#wide = [];
    this.#narrow = [];
    if (this.#trial === undefined) return;
    this.#trial = undefined;
    this.#threads = 1;
    this.#retryAt = undefined;
  }

  #observeNarrow(milliseconds: number, now: number): void {
    this.#narrow = [...this.#narrow, milliseconds].slice(-windowSize);
    this.#retryAt ??= now + this.#retryMs;
    // Without knowing how long a narrow step takes, a trial would not know what it is worth.
    if (now < this.#retryAt || this.#narrow.length < enough) return;
    this.#threads = this.#widest;
    this.#trial = 0;
    this.#wide = [];
  }

  #observeWide(milliseconds: number, now: number): void {
    const narrow = this.#narrow.length >= enough ? median(this.#narrow) : undefined;
    // Steps of another width are known to a few times only, which is enough to see one that is fifty times slower.
    const slack = this.#isStale ? staleSlack : 1;
    const before = this.#usual === undefined ? undefined : this.#usual * slack;
    const usual = this.#wide.length >= enough ? median(this.#wide) : before;
    const limit = this.#trial === undefined || narrow === undefined ? Infinity : narrow * trialJump;
    if (milliseconds > Math.min(limit, usual === undefined ? Infinity : usual * this.#jump)) {
      this.#narrowDown(now);
      return;
    }
    this.#wide = [...this.#wide, milliseconds].slice(-windowSize);
    if (this.#trial !== undefined) {
      this.#trial += 1;
      if (this.#trial < trialSteps) return;
      this.#trial = undefined;
      if (narrow !== undefined && median(this.#wide) > narrow * gain) {
        this.#narrowDown(now);
        return;
      }
    }
    if (this.#wide.length === windowSize) this.#retryMs = this.#firstRetryMs;
  }

  #narrowDown(now: number): void {
    if (this.#wide.length >= enough) {
      this.#usual = median(this.#wide);
      this.#isStale = false;
    }
    this.#threads = 1;
    this.#trial = undefined;
    this.#retryAt = now + this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
