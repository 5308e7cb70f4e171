/**
 * Guesses how an answer goes on from what stands before it: where the last tokens came before, what followed them
 * then is likely to follow again, as in code that is edited and texts that are quoted.
 *
 * Source: prompt lookup decoding, A. Saxena, 2023.
 */
export interface LookupOptions {
  /** Most tokens of a guess. */
  readonly most: number;
  /** Tokens that have to agree. Default: 3. */
  readonly least?: number;
  /** Tokens that are looked back at most. Default: 4096. */
  readonly reach?: number;
}

/** The tokens that followed the last place where the end of `tokens` stood before; none: it stood nowhere. */
export function lookUp(
  tokens: readonly number[],
  { most, least = 3, reach = 4096 }: LookupOptions,
): readonly number[] {
  if (most < 1 || tokens.length <= least) return [];
  const end = tokens.length - least;
  for (let start = end - 1; start >= Math.max(0, end - reach); start -= 1) {
    let same = 0;
    while (same < least && tokens[start + same] === tokens[end + same]) same += 1;
    if (same === least) return tokens.slice(start + least, start + least + most);
  }
  return [];
}

/** Guesses whose outcome says whether guessing pays. */
const window = 64;
/** Steps without a guess after it did not pay; doubles. */
const firstPause = 32;
const longestPause = 1024;
/** Least part of guessed tokens that has to be right: a wrong one costs as much as a prompt's token. */
const leastShare = 0.4;

/** Tokens of a first guess whose length follows its success. */
const firstLength = 4;

/** Whether and how far to guess for one request: off where too few are right. */
export class DraftPolicy {
  readonly #most: number;
  /** Tokens of the next guess; undefined: always the most, and a pause where they are wrong. */
  #length: number | undefined;
  #guessed = 0;
  #right = 0;
  #pause = 0;
  #nextPause = firstPause;
  /** Tokens guessed and right, over the whole request. */
  readonly totals = { tokens: 0, accepted: 0 };

  /**
   * @param most Tokens of a guess; 0: never.
   * @param adapts Each guess is longer after one that was right, and shorter after one that was not. For guesses that
   * cost by the token.
   */
  constructor(most: number, adapts = false) {
    this.#most = most;
    this.#length = adapts ? Math.min(most, firstLength) : undefined;
  }

  /** Most tokens to guess in the next step; 0: none. */
  next(): number {
    if (this.#pause > 0) {
      this.#pause -= 1;
      return 0;
    }
    return this.#length ?? this.#most;
  }

  /** Takes what became of a guess. */
  observe(guessed: number, right: number): void {
    this.totals.tokens += guessed;
    this.totals.accepted += right;
    if (this.#length !== undefined) {
      if (right >= guessed) this.#length = Math.min(this.#most, this.#length + 1);
      else if (right < guessed / 2) this.#length = Math.max(1, this.#length - 1);
      return;
    }
    this.#guessed += guessed;
    this.#right += right;
    const share = this.#right / Math.max(1, this.#guessed);
    if (this.#guessed >= 2 * this.#most && share < leastShare) {
      this.#pause = this.#nextPause;
      this.#nextPause = Math.min(this.#nextPause * 2, longestPause);
      this.#guessed = 0;
      this.#right = 0;
    } else if (this.#guessed >= window) {
      this.#nextPause = firstPause;
      this.#guessed /= 2;
      this.#right /= 2;
    }
  }
}
