import type { GenerationEvent } from '../daemon-api.js';

type Queued = Extract<GenerationEvent, { kind: 'queued' }>;

/** The word on a place in the queue. Only the latest is kept: an older one is of no use to anybody. */
export class QueueNews {
  #latest: Queued | undefined;
  #wake: () => void = () => undefined;

  readonly push = (position: number, expectedWaitMs: number | undefined): void => {
    this.#latest = { kind: 'queued', position, expectedWaitMs };
    this.#wake();
  };

  /** The news until `settled` has settled, in whatever way. None where that is so at once. */
  async *until(settled: Promise<unknown>): AsyncGenerator<Queued, void, undefined> {
    const end = settled.then(
      () => 'end' as const,
      () => 'end' as const,
    );
    while ((await Promise.race([end, this.#news()])) === 'news') {
      const latest = this.#latest;
      this.#latest = undefined;
      if (latest !== undefined) yield latest;
    }
  }

  async #news(): Promise<'news'> {
    if (this.#latest === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return 'news';
  }
}
