import { StepTimes } from './step-times.js';

/**
 * Chooses how many threads decode. llama.cpp's threads wait for each other by spinning, so one busy core makes a
 * step many times slower as soon as more than one thread takes part. This watches how long steps take: it goes down
 * to one thread at once when a step takes far longer than usual, and tries the full width again later, a few steps at
 * a time and with longer pauses while that is no gain. What it knows it keeps by how many sequences decode, so that
 * requests may come and go meanwhile.
 */
export interface GovernorOptions {
  /** Most threads, at least 1. */
  readonly widest: number;
  /** Threads to begin with, as measured: from 1 to `widest`. Default: the widest. */
  readonly first?: number;
  /** Milliseconds of a step of one sequence, measured when nothing else ran. Default: found out in use. */
  readonly known?: StepCost | undefined;
  /** Milliseconds until the full width is tried after the first narrowing; doubles up to 60 s. Default: 250. */
  readonly retryMs?: number;
}

/** Milliseconds of a step of one sequence: with one thread, and with those that were the fastest. */
export interface StepCost {
  readonly narrowMs: number;
  readonly wideMs: number;
}

/** One decode step that was not interrupted and had no part of a prompt. */
export interface TimedStep {
  /** How many sequences decoded. */
  readonly width: number;
  readonly milliseconds: number;
  /** When it ended, of a monotonic clock in milliseconds. */
  readonly now: number;
  /**
   * Whether other work on this machine leaves cores for all threads. Undefined: not known. Where it does not, the
   * full width is tried once in a minute only; where it does again, at once.
   */
  readonly hasRoom?: boolean | undefined;
}

type Mode =
  /** `good`: steps since it was taken up that were no slower than usual. `slow`: how many in a row were. */
  | { readonly kind: 'wide'; good: number; slow: number }
  /** `hadRoom`: whether the machine had room when last asked. */
  | { readonly kind: 'narrow'; since: number | undefined; retryAt: number; hadRoom: boolean }
  /** `ratios`: times of steps, by what one with one thread takes. */
  | { readonly kind: 'trial'; readonly ratios: number[]; steps: number };

const longestRetryMs = 60_000;
/** Steps of one kind before their median says anything. */
const enough = 3;
/** Slow steps in a row that are no accident. */
const slowSteps = 3;
/** A step with all threads is plainly no gain where it takes this many times a narrow one: less may be an accident. */
const plainly = 1.15;
/** Steps with all threads whose median says whether they are a gain. */
const trend = 15;
/** Steps of a trial. */
const trialSteps = 3;
/** Steps of a trial at most, where the time with one thread is not known. */
const longestTrial = 16;
/** The full width stays when its steps take at most this part of a narrow one. */
const gain = 0.95;
/** A trial ends at once when a step takes this many times a narrow one. */
const trialJump = 1.5;
/** No step is given up before. */
const leastLimitMs = 20;
/** Good steps after which the next narrowing is the first again. */
const lasting = 31;

export class ThreadGovernor {
  readonly #wide: number;
  readonly #firstRetryMs: number;
  #retryMs: number;
  #mode: Mode;
  /** Steps with all threads, when nothing disturbed them. */
  readonly #usual = new StepTimes();
  /** Steps with one thread. */
  readonly #narrow = new StepTimes();

  constructor({ widest, first = widest, known, retryMs = 250 }: GovernorOptions) {
    this.#wide = first > 1 ? Math.min(first, widest) : Math.max(1, widest);
    this.#firstRetryMs = retryMs;
    this.#retryMs = retryMs;
    this.#mode = first > 1 ? wide() : { kind: 'narrow', since: undefined, retryAt: Infinity, hadRoom: true };
    if (known === undefined) return;
    this.#narrow.add(1, known.narrowMs);
    if (first > 1) this.#usual.add(1, known.wideMs);
  }

  /** Threads for the next step. */
  get threads(): number {
    return this.#mode.kind === 'narrow' ? 1 : this.#wide;
  }

  /** Threads when nothing disturbs them. */
  get widest(): number {
    return this.#wide;
  }

  /**
   * Milliseconds after which a step of this width is to be given up and made again with one thread: then a core that
   * became busy costs no more than that. Undefined: it is to be let go to its end.
   */
  giveUpAfter(width: number): number | undefined {
    if (this.#wide === 1 || this.#mode.kind === 'narrow') return undefined;
    const limit = this.#mode.kind === 'trial' ? this.#trialLimit(width) : 2 * this.#slowMs(width);
    return Number.isFinite(limit) ? Math.max(leastLimitMs, limit) : undefined;
  }

  /** About what a step of this width takes now, in milliseconds. Undefined: not known. */
  expectedMs(width: number): number | undefined {
    const times = this.#mode.kind === 'wide' && this.#wide > 1 ? this.#usual : this.#narrow;
    return times.median(width) ?? times.bound(width);
  }

  /** Takes the time of a step, one that was given up included, and gives the threads for the next. */
  observe(step: TimedStep): number {
    if (this.#wide === 1) {
      this.#narrow.add(step.width, step.milliseconds);
      return 1;
    }
    switch (this.#mode.kind) {
      case 'narrow':
        this.#observeNarrow(this.#mode, step);
        break;
      case 'trial':
        this.#observeTrial(this.#mode, step);
        break;
      case 'wide':
        this.#observeWide(this.#mode, step);
    }
    return this.threads;
  }

  #observeNarrow(
    mode: Extract<Mode, { kind: 'narrow' }>,
    { width, milliseconds, now, hasRoom }: TimedStep,
  ): void {
    this.#narrow.add(width, milliseconds);
    if (mode.since === undefined) {
      mode.since = now;
      mode.retryAt = now + this.#retryMs;
    }
    if (hasRoom === true && !mode.hadRoom) {
      this.#retryMs = this.#firstRetryMs;
      mode.retryAt = Math.min(mode.retryAt, now);
    }
    if (hasRoom !== undefined) mode.hadRoom = hasRoom;
    // Without knowing how long a narrow step takes, a trial would not know what it is worth.
    if (now < mode.retryAt || this.#narrow.count(width) < enough) return;
    if (hasRoom === false && now < mode.since + longestRetryMs) return;
    this.#mode = { kind: 'trial', ratios: [], steps: 0 };
  }

  #observeTrial(mode: Extract<Mode, { kind: 'trial' }>, { width, milliseconds, now }: TimedStep): void {
    const narrow = this.#narrow.count(width) < enough ? undefined : this.#narrow.median(width);
    mode.steps += 1;
    if (milliseconds > this.#trialLimit(width)) {
      this.#goNarrow(now);
      return;
    }
    if (narrow !== undefined) mode.ratios.push(milliseconds / narrow);
    if (mode.ratios.length < trialSteps && mode.steps < longestTrial) return;
    const ratio = mode.ratios.toSorted((one, other) => one - other)[Math.floor(mode.ratios.length / 2)];
    if (ratio !== undefined && ratio > gain) {
      this.#goNarrow(now);
      return;
    }
    this.#usual.clear();
    this.#usual.add(width, milliseconds);
    this.#mode = wide();
  }

  #observeWide(mode: Extract<Mode, { kind: 'wide' }>, { width, milliseconds, now }: TimedStep): void {
    const slow = this.#slowMs(width);
    const narrow = this.#narrow.median(width) ?? this.#narrow.bound(width);
    const isSlow = milliseconds > Math.min(slow, (narrow ?? Infinity) * plainly);
    mode.slow = isSlow ? mode.slow + 1 : 0;
    const hasTrend = this.#usual.count(width) >= trend;
    const isNoGain = hasTrend && (this.#usual.median(width) ?? 0) > (this.#narrow.median(width) ?? Infinity);
    if (milliseconds > 2 * slow || mode.slow >= slowSteps || isNoGain) {
      this.#narrow.clear();
      this.#goNarrow(now);
      return;
    }
    if (isSlow) return;
    this.#usual.add(width, milliseconds);
    mode.good += 1;
    if (mode.good >= lasting) this.#retryMs = this.#firstRetryMs;
    // Busy from the first step on, it would take what it sees for usual.
    if (narrow === undefined && mode.good >= enough) this.#compare(now);
  }

  /** With n threads a step takes at least an nth of the time: one that takes n times the usual has lost all of it. */
  #slowMs(width: number): number {
    const usual = this.#usual.count(width) < enough ? this.#usual.bound(width) : this.#usual.median(width);
    return (usual ?? Infinity) * this.#wide;
  }

  #trialLimit(width: number): number {
    const known = this.#narrow.count(width) >= enough;
    return ((known ? this.#narrow.median(width) : this.#narrow.bound(width)) ?? Infinity) * trialJump;
  }

  /** Times a few steps with one thread, and then with all. */
  #compare(now: number): void {
    this.#mode = { kind: 'narrow', since: now, retryAt: now, hadRoom: true };
  }

  #goNarrow(now: number): void {
    this.#mode = { kind: 'narrow', since: now, retryAt: now + this.#retryMs, hadRoom: true };
    this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
  }
}

function wide(): Mode {
  return { kind: 'wide', good: 0, slow: 0 };
}
