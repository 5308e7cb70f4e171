import { othersBusy } from './machine-room.js';
import { quietUpTo, systemClock } from './calibrate.js';
import type { CalibrationClock } from './calibrate.js';
import type { BatchChoice } from './messages.js';

/** Evaluates a prompt of so many tokens in one step; gives its time in milliseconds. */
export type TimedPiece = (tokens: number) => Promise<number>;

export interface BatchLimits {
  /** Most tokens that a step, or the context, holds. */
  readonly most: number;
  /** About what one token costs, in milliseconds: as much as a decode step, at most. */
  readonly tokenMs: number;
}

/** What is tried, smallest first. Twice as many gain little from about a hundred on, and cannot be ended as soon. */
const sizes = [64, 128, 256, 512];
/** Nothing is begun that would take longer in all: somebody waits for the model. */
const longestMs = 1500;
/**
 * How many times as fast, a token, a piece has to be to be taken in place of one of half its size. What is measured is the
 * begin of a prompt; further on, where attention costs more, pieces of 64 lose a tenth and more to those of 128.
 */
const worthwhile = (tokens: number): number => (tokens <= 128 ? 0.95 : 1.05);
/** The fastest of so many pieces counts: what disturbs one only ever makes it slower. */
const times = 2;

/**
 * Finds how many tokens of a prompt one step should have: the smallest number from 128 on that is about as fast, a token,
 * as any larger one, or 64 where that is plainly faster. Small steps end sooner when they are cancelled, and nobody waits long behind one. It goes up as long as
 * that pays and there is time; a model whose smallest piece already takes too long keeps to that.
 */
export async function calibrateBatch(
  piece: TimedPiece,
  { most, tokenMs }: BatchLimits,
  { now, read }: CalibrationClock = systemClock,
): Promise<BatchChoice> {
  const [since, before] = [now(), read()];
  let best = { tokens: Math.min(sizes[0] ?? most, most), tokenMs };
  let isMeasured = false;
  for (const tokens of sizes.filter((size) => size <= most)) {
    const found = await fastest(piece, tokens, () => longestMs - (now() - since), best.tokenMs);
    if (found === undefined) break;
    const isWorthwhile = !isMeasured || best.tokenMs / found >= worthwhile(tokens);
    if (!isWorthwhile) break;
    best = { tokens, tokenMs: found };
    isMeasured = true;
  }
  const elapsed = now() - since;
  const others = elapsed <= 0 ? 0 : othersBusy(before, read(), elapsed);
  if (!isMeasured) return { tokens: best.tokens, from: 'fixed' };
  return { tokens: best.tokens, from: others <= quietUpTo ? 'measured' : 'measured_busy' };
}

/** Milliseconds a token; undefined where there is no time left for one. `guess`: what a token may cost. */
async function fastest(
  piece: TimedPiece,
  tokens: number,
  left: () => number,
  guess: number,
): Promise<number | undefined> {
  let found: number | undefined;
  for (let time = 0; time < times; time += 1) {
    if ((found ?? guess) * tokens > left()) return found;
    found = Math.min(found ?? Infinity, (await piece(tokens)) / tokens);
  }
  return found;
}
