/**
 * Finds stop texts in a stream of pieces, also where one lies across their borders. Text that may still become the
 * beginning of a stop text is held back. Where several stop texts match, the one that is complete first counts, so
 * the outcome does not depend on how the text was cut.
 */
export class StopFilter {
  readonly #stops: readonly string[];
  #held = '';

  /** @param stops Empty texts, and such as are no well-formed Unicode and so can never come, are left out. */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '' && !/\p{Surrogate}/u.test(stop));
  }

  /** Takes a piece; gives what is safe to show. After `stopped` no more must be pushed. */
  push(piece: string): { readonly text: string; readonly stopped: boolean } {
    const text = this.#held + piece;
    const start = this.#findStop(text);
    if (start !== undefined) {
      this.#held = '';
      return { text: text.slice(0, start), stopped: true };
    }
    const safe = text.length - this.#heldLength(text);
    this.#held = text.slice(safe);
    return { text: text.slice(0, safe), stopped: false };
  }

  /** What was held back, when nothing more comes. */
  finish(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** Where the stop text begins that is complete first. */
  #findStop(text: string): number | undefined {
    let best: { start: number; end: number } | undefined;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop);
      if (start === -1) continue;
      const end = start + stop.length;
      if (best === undefined || end < best.end || (end === best.end && start < best.start))
        best = { start, end };
    }
    return best?.start;
  }

  /** Length of the longest end of `text` with which some stop text begins. */
  #heldLength(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length -= 1) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
