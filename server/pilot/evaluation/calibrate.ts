/** An answer to a held-out place: how many tokens it has, how likely they were on the mean, and whether it was right. */
export interface Scored {
  readonly tokens: number;
  /** Natural logarithm. */
  readonly meanLogprob: number;
  readonly right: boolean;
}

/** Lengths in tokens that are fitted together: each from the number here to the one before the next. */
const lengths = [1, 2, 3, 5, 9, 17] as const;
/** Fewer answers above a threshold than this say nothing. */
const least = 12;
/** A threshold that hardly any answer reaches. */
const silence = -1e-4;

/**
 * Thresholds by length, at index n for an answer of n + 1 tokens: the lowest mean log-probability above which answers
 * of that length were right more often than `precision`, by a standard error. Where no threshold is, the model had better be silent.
 */
export function calibrate(answers: readonly Scored[], precision: number): readonly number[] {
  const thresholds: number[] = [];
  for (const [index, from] of lengths.entries()) {
    const to = lengths[index + 1] ?? Infinity;
    const threshold = lowest(
      answers.filter(({ tokens }) => tokens >= from && tokens < to),
      precision,
    );
    const times = to === Infinity ? 1 : to - from;
    thresholds.push(...Array.from({ length: times }, () => threshold));
  }
  return thresholds;
}

function lowest(answers: readonly Scored[], precision: number): number {
  const sorted = answers.toSorted((a, b) => b.meanLogprob - a.meanLogprob);
  let right = 0;
  let found: number = silence;
  for (const [index, answer] of sorted.entries()) {
    if (answer.right) right += 1;
    const next = sorted[index + 1]?.meanLogprob;
    // Equal ones pass or fail together.
    if (next === answer.meanLogprob) continue;
    if (index + 1 < least) continue;
    // By a standard error: the lowest of many thresholds is also the luckiest one.
    const error = Math.sqrt((precision * (1 - precision)) / (index + 1));
    if (right / (index + 1) >= precision + error) found = Math.min(silence, answer.meanLogprob);
  }
  return Math.round(found * 1e4) / 1e4;
}

/** Whether the thresholds let an answer pass: what the product asks too (server/src/completion/confidence.ts). */
export function passes(thresholds: readonly number[], { tokens, meanLogprob }: Scored): boolean {
  const threshold = thresholds[Math.min(tokens, thresholds.length) - 1];
  return threshold === undefined || meanLogprob >= threshold;
}
