import type { TokenLogprob } from '@hearth/protocol';

/** A token of an answer: its text, and the natural logarithm of how likely the model held it to be. */
export type ScoredToken = Pick<TokenLogprob, 'text' | 'logprob'>;

/**
 * How sure a model must be: at index n the least mean log-probability of the tokens of an answer of n + 1 tokens. The
 * last one holds for all longer answers; an empty list asks for nothing. Fitted on held-out code when the model was
 * made, and kept in its file.
 */
export type Confidence = readonly number[];

/**
 * Whether a model was sure enough of what would be shown.
 *
 * What the rules cut away does not count: the mean is over the tokens up to the end of what is shown, the one that
 * reaches over it included. An answer without scores passes, since nothing is known against it.
 *
 * @param tokens of the whole answer, in order
 * @param answer the whole answer
 * @param shown what the rules left of it
 */
export function isSure(
  confidence: Confidence,
  tokens: readonly ScoredToken[],
  answer: string,
  shown: string,
): boolean {
  const counted = tokensShown(tokens, answer, shown);
  const least = confidence[Math.min(counted.length, confidence.length) - 1];
  if (least === undefined) return true;
  const mean = counted.reduce((sum, { logprob }) => sum + logprob, 0) / counted.length;
  return mean >= least;
}

/** The tokens up to the end of what is shown. A text that the rules changed inside counts as whole. */
function tokensShown(tokens: readonly ScoredToken[], answer: string, shown: string): readonly ScoredToken[] {
  const kept = shown.trimEnd();
  const at = answer.indexOf(kept);
  const end = at < 0 ? answer.length : at + kept.length;
  let reached = 0;
  const last = tokens.findIndex(({ text }) => (reached += text.length) >= end);
  return last < 0 ? tokens : tokens.slice(0, last + 1);
}
