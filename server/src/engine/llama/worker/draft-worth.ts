/**
 * Whether guessing tokens ahead makes answers come faster, told by the time that steps take: a guess costs its making
 * and its checking, and how much that is depends on the machine, on how many streams share a step, and on what is
 * written. Where it loses it is left off, for longer each time, and tried again.
 */

/** A step in which streams decoded and no prompt went along. */
export interface TimedDraftStep {
  /** How many streams decoded: each number of them is judged by itself. */
  readonly width: number;
  /** Whether guesses were asked for, right or not, made or not. */
  readonly drafted: boolean;
  /** Tokens that came of it, of all streams. */
  readonly tokens: number;
  /** The making of the guesses included. */
  readonly milliseconds: number;
}

/** Steps without guesses, to know what a token costs then. */
const plainSteps = 4;
/** Steps with guesses before they are judged. */
const trialSteps = 8;
/** Steps with guesses after which some without are timed again. */
const renewal = 256;
const firstPause = 32;
const longestPause = 1024;
/** Guessing stays where a token takes at most this part of what it takes without. */
const gain = 0.97;
/** Steps without guesses whose median counts: the first of a stream, and one that was disturbed, take far longer. */
const windowSize = 9;

interface Width {
  /** Milliseconds of a token without guesses, of the latest steps. */
  plainMs: readonly number[];
  /** Steps without guesses that are to come. */
  plain: number;
  pause: number;
  /** Since the last judgement. */
  steps: number;
  tokens: number;
  milliseconds: number;
  /** Since steps without guesses were timed. */
  age: number;
}

export class DraftWorth {
  readonly #widths = new Map<number, Width>();

  /** Whether the next step of so many streams is to have guesses. */
  allows(width: number): boolean {
    return this.#at(width).plain === 0;
  }

  observe({ width, drafted, tokens, milliseconds }: TimedDraftStep): void {
    if (tokens < 1) return;
    const state = this.#at(width);
    if (!drafted) {
      state.plainMs = [...state.plainMs, milliseconds / tokens].slice(-windowSize);
      state.plain = Math.max(0, state.plain - 1);
      return;
    }
    state.steps += 1;
    state.age += 1;
    state.tokens += tokens;
    state.milliseconds += milliseconds;
    if (state.steps < trialSteps) return;
    const plainMs = medianOf(state.plainMs);
    const pays = plainMs === undefined || state.milliseconds / state.tokens <= gain * plainMs;
    Object.assign(state, { steps: 0, tokens: 0, milliseconds: 0 });
    if (!pays) {
      state.plain = state.pause;
      state.pause = Math.min(2 * state.pause, longestPause);
      state.age = 0;
    } else if (state.age >= renewal) {
      state.pause = firstPause;
      state.plain = plainSteps;
      state.age = 0;
    }
  }

  #at(width: number): Width {
    const known = this.#widths.get(width);
    if (known !== undefined) return known;
    const fresh: Width = {
      plainMs: [],
      plain: plainSteps,
      pause: firstPause,
      steps: 0,
      tokens: 0,
      milliseconds: 0,
      age: 0,
    };
    this.#widths.set(width, fresh);
    return fresh;
  }
}

function medianOf(values: readonly number[]): number | undefined {
  return values.toSorted((one, other) => one - other)[Math.floor((values.length - 1) / 2)];
}
