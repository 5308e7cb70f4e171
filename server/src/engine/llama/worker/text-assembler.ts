/** Text of `tokens` that follow `before`; a character that is cut off at an end comes as U+FFFD. */
export type Detokenize = (tokens: readonly number[], before: readonly number[]) => string;

/** What a character that is cut off looks like at the end of a text: one mark or several, by decoder. */
const unfinished = /\uFFFD+$/u;
/** Tokens that may be pending before a place is looked for where the older of them can be let go. */
const mostPending = 16;
/** Tokens before the next one that the detokeniser gets to see, for the spaces between words. */
const contextTokens = 8;

/** Turns tokens into text one by one without ever giving half a character. */
export class TextAssembler {
  readonly #detokenize: Detokenize;
  #pending: number[] = [];
  /** How much of the text of {@link #pending} has been given, in UTF-16 units. */
  #given = 0;
  #before: number[];
  readonly #visible: ReadonlyMap<number, string>;

  /**
   * @param before The last tokens of the prompt.
   * @param visible Tokens that have no text of their own and are wanted all the same, with the text to give.
   */
  constructor(
    detokenize: Detokenize,
    before: readonly number[],
    visible: ReadonlyMap<number, string> = new Map(),
  ) {
    this.#detokenize = detokenize;
    this.#visible = visible;
    this.#before = before.slice(-contextTokens);
  }

  /** Takes a token; gives the text that is now complete, often none. */
  push(token: number): string {
    const shown = this.#visible.get(token);
    if (shown !== undefined) {
      const text = this.finish() + shown;
      this.#before = [...this.#before, token].slice(-contextTokens);
      return text;
    }
    this.#pending.push(token);
    const text = this.#detokenize(this.#pending, this.#before);
    // More bytes change nothing before the unfinished end.
    const complete = text.replace(unfinished, '');
    const fresh = complete.slice(this.#given);
    this.#given = Math.max(this.#given, complete.length);
    if (complete.length === text.length) this.#letGo(this.#pending.length, 0);
    else if (this.#pending.length >= mostPending) return fresh + this.#shorten(text);
    return fresh;
  }

  /** What is left when nothing more comes, without an unfinished character. */
  finish(): string {
    const text = this.#detokenize(this.#pending, this.#before).replace(unfinished, '').slice(this.#given);
    this.#letGo(this.#pending.length, 0);
    return text;
  }

  /**
   * Lets older tokens go where each token ends within a character. Those that stay must hold a whole character: up
   * to its end all has been given. A run without one is no text, and is given as it is.
   */
  #shorten(text: string): string {
    for (let stay = 1; stay < this.#pending.length; stay += 1) {
      const from = this.#pending.length - stay;
      const tail = this.#detokenize(this.#pending.slice(from), this.#pending.slice(0, from));
      const given = tail.replace(unfinished, '').length;
      if (given === 0) continue;
      this.#letGo(from, given);
      return '';
    }
    const rest = text.slice(this.#given);
    this.#letGo(this.#pending.length, 0);
    return rest;
  }

  #letGo(count: number, given: number): void {
    this.#before = [...this.#before, ...this.#pending.slice(0, count)].slice(-contextTokens);
    this.#pending = this.#pending.slice(count);
    this.#given = given;
  }
}
