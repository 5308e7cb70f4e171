/** Does something long, telling how far it is, until its signal is aborted. */
export type Work<Progress, Result> = (
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
) => Promise<Result>;

/** Somebody who wants what is being done. */
interface Participant<Progress> {
  readonly onProgress: (progress: Progress) => void;
}

interface Job<Progress, Result> {
  readonly result: Promise<Result>;
  readonly participants: Set<Participant<Progress>>;
  readonly controller: AbortController;
  latest: Progress | undefined;
}

/**
 * Does the same thing, such as fetching a model, once for all who want it at the same time. It ends early when all of
 * them have gone, and goes on without anybody only where the daemon itself began it and nobody has joined yet.
 */
export class SharedWork<Progress, Result> {
  readonly #jobs = new Map<string, Job<Progress, Result>>();
  #isStopped = false;

  /** How many things are being done now. */
  get size(): number {
    return this.#jobs.size;
  }

  /**
   * Joins what is done for `key`, or begins it with `work`.
   *
   * @throws what `work` does; an AbortError where `signal` ends the wait, which ends the work too if nobody else waits
   */
  async join(
    key: string,
    work: Work<Progress, Result>,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Result> {
    // What its last participant has left is ending: whoever comes then begins anew.
    for (let job = this.#jobs.get(key); job?.controller.signal.aborted === true; job = this.#jobs.get(key))
      await job.result.catch(() => undefined);
    if (this.#isStopped) throw new DOMException('aborted', 'AbortError');
    signal.throwIfAborted();
    const job = this.#jobs.get(key) ?? this.#begin(key, work);
    const participant: Participant<Progress> = { onProgress };
    job.participants.add(participant);
    if (job.latest !== undefined) onProgress(job.latest);
    const left = new AbortController();
    try {
      const gone = new Promise<never>((_, reject) => {
        const leave = (): void => {
          job.participants.delete(participant);
          // The last one waits until what has come is safe on the disk: the same request then goes on from there.
          if (job.participants.size === 0) job.controller.abort(signal.reason);
          else reject(new DOMException('aborted', 'AbortError'));
        };
        signal.addEventListener('abort', leave, { once: true, signal: left.signal });
      });
      return await Promise.race([job.result, gone]);
    } finally {
      left.abort();
      job.participants.delete(participant);
    }
  }

  /** Begins the work of `key` for nobody in particular, unless it is under way. Never rejects. */
  start(key: string, work: Work<Progress, Result>): void {
    if (!this.#jobs.has(key)) this.#begin(key, work);
  }

  /** Ends everything, and begins nothing more; resolves when it has ended. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    const jobs = [...this.#jobs.values()];
    for (const { controller } of jobs) controller.abort();
    await Promise.allSettled(jobs.map(({ result }) => result));
  }

  #begin(key: string, work: Work<Progress, Result>): Job<Progress, Result> {
    const participants = new Set<Participant<Progress>>();
    const controller = new AbortController();
    const result = work((progress) => {
      job.latest = progress;
      for (const participant of participants) participant.onProgress(progress);
    }, controller.signal).finally(() => {
      this.#jobs.delete(key);
    });
    const job: Job<Progress, Result> = { result, participants, controller, latest: undefined };
    this.#jobs.set(key, job);
    // Whoever waits hears of it; nobody else has to.
    result.catch(() => undefined);
    return job;
  }
}
