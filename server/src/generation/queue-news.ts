import type { GenerationEvent } from '../daemon-api.js';

type News = Extract<GenerationEvent, { kind: 'queued' | 'loading' }>;

/**
 * The word on a place in the queue and on the load of a model. Only the latest of each is kept: an older one is of no
 * use to anybody.
 */
export class QueueNews {
  readonly #latest = new Map<News['kind'], News>();
  #wake: () => void = () => undefined;

  readonly push = (position: number, expectedWaitMs: number | undefined): void => {
    this.#put({ kind: 'queued', position, expectedWaitMs });
  };

  readonly loading = (model: string, progress: number | undefined): void => {
    this.#put({ kind: 'loading', model, ...(progress === undefined ? {} : { progress }) });
  };

  /** The news until `settled` has settled, in whatever way. None where that is so at once. */
  async *until(settled: Promise<unknown>): AsyncGenerator<News, void, undefined> {
    const end = settled.then(
      () => 'end' as const,
      () => 'end' as const,
    );
    while ((await Promise.race([end, this.#news()])) === 'news') {
      const latest = [...this.#latest.values()];
      this.#latest.clear();
      yield* latest;
    }
  }

  #put(news: News): void {
    this.#latest.set(news.kind, news);
    this.#wake();
  }

  async #news(): Promise<'news'> {
    if (this.#latest.size === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return 'news';
  }
}
