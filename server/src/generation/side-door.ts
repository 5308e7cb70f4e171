import { HearthError } from '@hearth/protocol';

export interface SideDoorOptions {
  /** Requests that are worked on at once. Default: 4. */
  readonly atOnce?: number;
  /** Requests that wait beside them. Default: 64. */
  readonly waiting?: number;
  /** Of those, the ones of one client. Default: half. */
  readonly waitingOfOne?: number;
}

/** When to come back, in milliseconds: what passes here takes some milliseconds each. */
const retryAfterMs = 250;

interface Waiter {
  readonly client: string;
  readonly go: () => void;
}

/**
 * The bound on work that is too cheap to wait for a permit, as making tokens of a text is: it passes generations by,
 * a few at once, in the order in which it came, and beyond what may wait it is refused like everything else.
 */
export class SideDoor {
  readonly #atOnce: number;
  readonly #most: number;
  readonly #mostOfOne: number;
  #inside = 0;
  #waiting: readonly Waiter[] = [];

  constructor({ atOnce = 4, waiting = 64, waitingOfOne = waiting / 2 }: SideDoorOptions = {}) {
    this.#atOnce = atOnce;
    this.#most = waiting;
    this.#mostOfOne = waitingOfOne;
  }

  /**
   * Runs `work` when it is its turn.
   *
   * @throws HearthError `queue_full` at once where too many wait; the signal's reason once it is aborted while it waits.
   */
  async pass<Result>(client: string, signal: AbortSignal, work: () => Promise<Result>): Promise<Result> {
    signal.throwIfAborted();
    if (this.#inside >= this.#atOnce) await this.#wait(client, signal);
    else this.#inside += 1;
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** Resolves with the place of whoever leaves. */
  #wait(client: string, signal: AbortSignal): Promise<void> {
    const own = this.#waiting.filter((waiter) => waiter.client === client).length;
    if (this.#waiting.length >= this.#most || own >= this.#mostOfOne) {
      return Promise.reject(
        new HearthError('queue_full', 'Too many such requests wait already. Try again in a moment.', {
          retryAfterMs,
        }),
      );
    }
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting = this.#waiting.filter((one) => one !== waiter);
        reject(toError(signal.reason));
      };
      const waiter: Waiter = {
        client,
        go: () => {
          signal.removeEventListener('abort', giveUp);
          resolve();
        },
      };
      signal.addEventListener('abort', giveUp, { once: true });
      this.#waiting = [...this.#waiting, waiter];
    });
  }

  #leave(): void {
    const [next, ...others] = this.#waiting;
    this.#waiting = others;
    if (next === undefined) this.#inside -= 1;
    else next.go();
  }
}

function toError(reason: unknown): Error {
  return reason instanceof Error ? reason : new HearthError('cancelled', 'The request was cancelled.');
}
