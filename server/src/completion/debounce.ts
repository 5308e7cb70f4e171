import type { Place } from './place.js';
import { lineSoFar, restOfLine } from './place.js';

/** The pause before a trigger that typing made, from the rhythm of the hands and the speed of the engine. */
export interface Debounce {
  /** Takes in a keystroke at `now`, in milliseconds. */
  readonly typed: (now: number) => void;
  /** Takes in how long an answer took from its request, in milliseconds. */
  readonly answered: (ms: number) => void;
  /** Milliseconds to wait at `place` before asking. */
  readonly pauseAt: (place: Place) => number;
}

/** Before the rhythm is known. */
const firstPauseMs = 75;
const mostPauseMs = 300;
/** A longer gap is thinking, not typing. */
const longestGapMs = 1000;
/** Keystrokes that are looked back at. */
const window = 20;
/** Least keystrokes before the rhythm counts as known. */
const known = 4;
const latencyWeight = 0.3;

/**
 * A pause is as long as the gap between two keystrokes of this person usually is, scaled by how likely the next one
 * follows at once, minus the time that an answer needs anyway: where the engine takes longer than the hands, it is
 * asked at once, and where it is quick it is asked when the hands have paused.
 */
export function createDebounce(): Debounce {
  const gaps: number[] = [];
  let last: number | undefined;
  let latency = 0;
  return {
    typed: (now) => {
      const gap = last === undefined ? Infinity : now - last;
      last = now;
      if (gap > longestGapMs) return;
      gaps.push(gap);
      if (gaps.length > window) gaps.shift();
    },
    answered: (ms) => {
      latency = latency === 0 ? ms : latency + (ms - latency) * latencyWeight;
    },
    pauseAt: (place) => {
      if (gaps.length < known) return firstPauseMs;
      const usual = gaps.toSorted((left, right) => left - right)[Math.floor(gaps.length / 2)] ?? 0;
      return Math.min(mostPauseMs, Math.max(0, usual * eagerness(place) - latency));
    },
  };
}

/** Inside a word the next letter comes soon; after a bracket, a dot or at a fresh line a suggestion is wanted. */
function eagerness(place: Place): number {
  const line = lineSoFar(place);
  if (line.trim() === '') return 0.8;
  if (/\w$/.test(line)) return 1.5;
  return restOfLine(place).trim() === '' ? 1 : 1.2;
}
