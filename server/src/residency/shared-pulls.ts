import type { PullModelRequest } from '@hearth/protocol';

type Progress = PullModelRequest.Progress;
type Result = PullModelRequest.Result;

/** Fetches, telling how far it is, until its signal is aborted. */
export type Fetch = (onProgress: (progress: Progress) => void, signal: AbortSignal) => Promise<Result>;

/** Somebody who wants what is being fetched. */
interface Participant {
  readonly onProgress: (progress: Progress) => void;
}

interface Pull {
  readonly result: Promise<Result>;
  readonly participants: Set<Participant>;
  readonly controller: AbortController;
  latest: Progress | undefined;
}

/**
 * Fetches the same thing once for all who want it at the same time. It ends early when all of them have gone, and goes
 * on without anybody only where the daemon itself began it and nobody has joined yet.
 */
export class SharedPulls {
  readonly #pulls = new Map<string, Pull>();

  /** What is being fetched now. */
  get size(): number {
    return this.#pulls.size;
  }

  /**
   * Joins the pull of `key`, or begins it with `fetch`.
   *
   * @throws what `fetch` does; an AbortError where `signal` ends the wait, which ends the fetch too if nobody else waits
   */
  async join(
    key: string,
    fetch: Fetch,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Result> {
    signal.throwIfAborted();
    const pull = this.#pulls.get(key) ?? this.#begin(key, fetch);
    const participant: Participant = { onProgress };
    pull.participants.add(participant);
    if (pull.latest !== undefined) onProgress(pull.latest);
    const left = new AbortController();
    try {
      const gone = new Promise<never>((_, reject) => {
        const leave = (): void => {
          pull.participants.delete(participant);
          // The last one waits until what has come is safe on the disk: the same request then goes on from there.
          if (pull.participants.size === 0) pull.controller.abort(signal.reason);
          else reject(new DOMException('aborted', 'AbortError'));
        };
        signal.addEventListener('abort', leave, { once: true, signal: left.signal });
      });
      return await Promise.race([pull.result, gone]);
    } finally {
      left.abort();
      pull.participants.delete(participant);
    }
  }

  /** Begins the pull of `key` for nobody in particular, unless it is under way. Never rejects. */
  start(key: string, fetch: Fetch): void {
    if (!this.#pulls.has(key)) this.#begin(key, fetch);
  }

  /** Ends all pulls; resolves when they have ended. */
  async stop(): Promise<void> {
    const pulls = [...this.#pulls.values()];
    for (const { controller } of pulls) controller.abort();
    await Promise.allSettled(pulls.map(({ result }) => result));
  }

  #begin(key: string, fetch: Fetch): Pull {
    const participants = new Set<Participant>();
    const controller = new AbortController();
    const result = fetch((progress) => {
      pull.latest = progress;
      for (const participant of participants) participant.onProgress(progress);
    }, controller.signal).finally(() => {
      this.#pulls.delete(key);
    });
    const pull: Pull = { result, participants, controller, latest: undefined };
    this.#pulls.set(key, pull);
    // Whoever waits hears of it; nobody else has to.
    result.catch(() => undefined);
    return pull;
  }
}
