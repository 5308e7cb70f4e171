/**
 * Values from a worker on their way to one consumer. Bounded by the credit that the worker was given. The end is a
 * value like any other.
 */
export class ReplyQueue<Reply> {
  #replies: Reply[] = [];
  #wake: (() => void) | undefined;

  push(reply: Reply): void {
    this.#replies.push(reply);
    this.#wake?.();
  }

  /** Drops what has not been taken and holds to `keep`. */
  discard(keep: (reply: Reply) => boolean): void {
    this.#replies = this.#replies.filter(keep);
  }

  /** The next value, when there is one. One consumer at a time. */
  async next(): Promise<Reply> {
    for (;;) {
      const reply = this.#replies.shift();
      if (reply !== undefined) return reply;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }
}
