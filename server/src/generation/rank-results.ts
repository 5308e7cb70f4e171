/** A document's place among those that were ranked. */
export interface RankResult {
  /** Of the document in the request. */
  readonly index: number;
  readonly score: number;
}

/** The best first; of equal ones the earlier first (row 36). @param top most results; undefined: all */
export function rankResults(scores: readonly number[], top = scores.length): readonly RankResult[] {
  return scores
    .map((score, index) => ({ index, score }))
    .sort((one, other) => other.score - one.score || one.index - other.index)
    .slice(0, top);
}
