/** Text of `tokens` that follow `before`; a character that is cut off at an end comes as U+FFFD. */
export type Detokenize = (tokens: readonly number[], before: readonly number[]) => string;

const replacement = '\uFFFD';
/** A character of UTF-8 has at most four bytes, so an unfinished one lies in at most three tokens. */
const unfinishedTokens = 3;
/** Beyond this a broken run of tokens is given as it is. */
const mostPending = 16;
/** Tokens before the next one that the detokeniser gets to see, for the spaces between words. */
const contextTokens = 8;

/** Turns tokens into text one by one without ever giving half a character. */
export class TextAssembler {
  readonly #detokenize: Detokenize;
  #pending: number[] = [];
  #before: number[];

  /** @param before The last tokens of the prompt. */
  constructor(detokenize: Detokenize, before: readonly number[]) {
    this.#detokenize = detokenize;
    this.#before = before.slice(-contextTokens);
  }

  /** Takes a token; gives the text that is now complete, often none. */
  push(token: number): string {
    this.#pending.push(token);
    const text = this.#detokenize(this.#pending, this.#before);
    if (!text.endsWith(replacement) || this.#pending.length >= mostPending)
      return this.#take(this.#pending.length, text);
    // An end that can still become a character is kept; what lies before it was never one.
    for (let count = 1; count <= this.#pending.length - unfinishedTokens; count += 1) {
      const head = this.#detokenize(this.#pending.slice(0, count), this.#before);
      const tail = this.#detokenize(this.#pending.slice(count), this.#pending.slice(0, count));
      if (head + tail === text) return this.#take(count, head);
    }
    return '';
  }

  /** What is left when nothing more comes, without an unfinished character. */
  finish(): string {
    const text = this.#detokenize(this.#pending, this.#before);
    this.#take(this.#pending.length, text);
    return text.replace(/\uFFFD+$/u, '');
  }

  #take(count: number, text: string): string {
    this.#before = [...this.#before, ...this.#pending.slice(0, count)].slice(-contextTokens);
    this.#pending = this.#pending.slice(count);
    return text;
  }
}
