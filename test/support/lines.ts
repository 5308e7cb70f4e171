import { ceilingMs, within } from './wait.js';

/**
 * Lines as they come in, to be awaited one by one. Splits on the byte 0x0A and nothing else, and decodes each
 * line as strict UTF-8, so that a fault in framing shows.
 */
export class LineInbox {
  #rest: Buffer[] = [];
  readonly #lines: string[] = [];
  readonly #wakers = new Set<() => void>();
  #ended = false;
  #taken = 0;

  push(chunk: Buffer): void {
    let from = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, from)) {
      const bytes = Buffer.concat([...this.#rest, chunk.subarray(from, at)]);
      this.#lines.push(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
      this.#rest = [];
      from = at + 1;
    }
    if (from < chunk.length) this.#rest.push(chunk.subarray(from));
    this.#wake();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#wake();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Every line so far, the taken ones too. */
  get all(): readonly string[] {
    return this.#lines;
  }

  /** Bytes after the last line feed. */
  get remainder(): Buffer {
    return Buffer.concat(this.#rest);
  }

  /** The next line, or undefined when the stream has ended before one. */
  async next(timeoutMs = ceilingMs): Promise<string | undefined> {
    const wait = async (): Promise<string | undefined> => {
      for (;;) {
        const line = this.#lines[this.#taken];
        if (line !== undefined) {
          this.#taken += 1;
          return line;
        }
        if (this.#ended) return undefined;
        await this.#change();
      }
    };
    return within(
      wait(),
      () => `no further line; ${this.#lines.length} so far, the last: ${this.#last()}`,
      timeoutMs,
    );
  }

  /** Resolves when the stream has ended. */
  async finished(timeoutMs = ceilingMs): Promise<void> {
    const wait = async (): Promise<void> => {
      while (!this.#ended) await this.#change();
    };
    await within(wait(), () => `the stream has not ended; the last line: ${this.#last()}`, timeoutMs);
  }

  #last(): string {
    return (this.#lines.at(-1) ?? '(none)').slice(0, 300);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakers.add(resolve);
    });
  }

  #wake(): void {
    const wakers = [...this.#wakers];
    this.#wakers.clear();
    for (const wake of wakers) wake();
  }
}
