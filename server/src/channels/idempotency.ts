import { createHash } from 'node:crypto';
import { HearthError } from '@hearth/protocol';

/** How long a key is remembered, in milliseconds: ten minutes. */
export const idempotencyWindowMs = 600_000;
/** Keys that are remembered; the oldest is forgotten for a new one. */
export const idempotencyKeys = 8192;

interface Remembered<Result> {
  readonly at: number;
  readonly digest: string;
  readonly result: Promise<Result>;
}

/**
 * Remembers what was done under a key, so that a message which is sent twice is published once (row 166). A second one
 * that comes while the first is still being written waits for it. What failed is forgotten: it may be tried again.
 */
export class IdempotencyWindow<Result> {
  readonly #now: () => number;
  readonly #known = new Map<string, Remembered<Result>>();

  /** @param now monotonic milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#known.size;
  }

  /**
   * Does the work, unless it was done under this key before.
   *
   * @throws HearthError `conflict` where the key came with other content before.
   */
  async once(
    scope: string,
    key: string,
    content: string,
    work: () => Promise<Result>,
  ): Promise<{ readonly result: Result; readonly duplicate: boolean }> {
    this.#forgetOld();
    const name = `${scope}\n${key}`;
    const digest = createHash('sha256').update(content).digest('base64');
    const known = this.#known.get(name);
    if (known !== undefined) {
      if (known.digest !== digest) {
        throw new HearthError(
          'conflict',
          'idempotency_key: it was used for another message on this channel; choose a new one',
        );
      }
      return { result: await known.result, duplicate: true };
    }
    const result = work();
    this.#remember(name, { at: this.#now(), digest, result });
    result.catch(() => this.#known.delete(name));
    return { result: await result, duplicate: false };
  }

  /** Remembers what was done by an earlier process. @param at on this window's clock */
  restore(scope: string, key: string, content: string, at: number, result: Result): void {
    const digest = createHash('sha256').update(content).digest('base64');
    this.#remember(`${scope}\n${key}`, { at, digest, result: Promise.resolve(result) });
  }

  #remember(name: string, what: Remembered<Result>): void {
    this.#known.set(name, what);
    if (this.#known.size <= idempotencyKeys) return;
    const oldest = this.#known.keys().next();
    if (oldest.done !== true) this.#known.delete(oldest.value);
  }

  /** In the order of their arrival, so that only what is over is looked at. */
  #forgetOld(): void {
    const limit = this.#now() - idempotencyWindowMs;
    for (const [name, { at }] of this.#known) {
      if (at > limit) return;
      this.#known.delete(name);
    }
  }
}
