/**
 * Notices that a worker no longer answers. It asks only while there is work; a worker that is idle is left alone.
 *
 * It counts questions without an answer and not time, so a machine that slept does not look like a hang.
 */
export interface HangWatchOptions {
  /** Silence after which a worker counts as hung, in milliseconds. */
  readonly timeoutMs: number;
  ping(): void;
  hung(): void;
}

/** Questions that may go unanswered. */
const misses = 5;

export class HangWatch {
  readonly #options: HangWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #unanswered = 0;
  #patience = 1;

  constructor(options: HangWatchOptions) {
    this.#options = options;
  }

  /**
   * Says whether there is work.
   *
   * @param patience How many times the timeout this work may take to answer.
   */
  setBusy(busy: boolean, patience = 1): void {
    this.#patience = patience;
    if (!busy) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    if (this.#timer !== undefined) return;
    this.#unanswered = 0;
    this.#timer = setInterval(() => {
      this.#tick();
    }, this.#options.timeoutMs / misses);
    this.#timer.unref();
  }

  /** Anything was heard of the worker. */
  heard(): void {
    this.#unanswered = 0;
  }

  #tick(): void {
    if (this.#unanswered >= misses * this.#patience) {
      this.setBusy(false);
      this.#options.hung();
      return;
    }
    this.#unanswered += 1;
    this.#options.ping();
  }
}
