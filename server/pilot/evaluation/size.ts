/** How much is measured. */
export interface EvaluationSize {
  /** Single-line places of TypeScript; half as many of JavaScript and a quarter of Python. */
  readonly lines: number;
  /** Places of several lines, in TypeScript and JavaScript. */
  readonly blocks: number;
  /** Characters of each language for bits per byte. */
  readonly characters: number;
}

/** What EVAL.md is made with: 2,100 places of one line, of which half fit the thresholds and half judge them. */
export const wholeEvaluation: EvaluationSize = { lines: 1200, blocks: 200, characters: 60_000 };
