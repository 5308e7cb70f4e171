import type { Writable } from 'node:stream';
import { HearthError } from '@hearth/protocol';

export interface BoundedWriterOptions {
  /** How long a write may wait, in milliseconds; 0: for ever. @default 60000 */
  readonly writeTimeoutMs?: number;
  /** Writes that may wait at once. @default 256 */
  readonly maxWaiting?: number;
  /** Calls back once after a time; returns what cancels it. @default a timer that keeps no process alive */
  readonly schedule?: Schedule;
}

export type Schedule = (delayMs: number, callback: () => void) => () => void;

/** How long a write may wait where nothing else is said, in milliseconds (row 72). */
export const defaultWriteTimeoutMs = 60_000;

/** A write that waits: for its turn while it has its bytes, then for the socket's buffer to empty. */
interface Waiter {
  bytes: Uint8Array | string | undefined;
  readonly resolve: () => void;
  readonly reject: (error: HearthError) => void;
  readonly cancelTimeout: () => void;
}

/**
 * Writes frames to a connection at its reader's pace (rows 72, 73). Writers take turns, first come first served.
 * Each is to await its write before the next one: then there is never more in memory than the socket's buffer, one
 * frame above it, and one frame of each writer.
 */
export class BoundedWriter {
  readonly #socket: Writable;
  readonly #writeTimeoutMs: number;
  readonly #maxWaiting: number;
  readonly #schedule: Schedule;
  readonly #waiting: Waiter[] = [];
  #ended = false;
  #isCorked = false;

  /** @param socket whose `error` events the caller handles */
  constructor(socket: Writable, options: BoundedWriterOptions = {}) {
    this.#socket = socket;
    this.#writeTimeoutMs = options.writeTimeoutMs ?? defaultWriteTimeoutMs;
    this.#maxWaiting = options.maxWaiting ?? 256;
    this.#schedule = options.schedule ?? systemSchedule;
    socket.on('drain', this.#advance);
    socket.once('close', () => {
      socket.off('drain', this.#advance);
      this.#end();
    });
  }

  /**
   * Writes one frame whole, text as UTF-8. Resolves when the kernel has taken it or the socket's buffer is below its high-water
   * mark: then it is time for the next one. It reaches the kernel at the end of this turn at the
   * latest: end the socket, do not destroy it, where the frame is to arrive.
   *
   * @throws HearthError `slow_consumer` for the write that has waited `writeTimeoutMs`, counted from its call and
   *   so with its wait for others: the connection is destroyed, since frames are missing now. `cancelled` for every
   *   other write of a connection that is closed.
   * @throws Error when more than `maxWaiting` writes wait, which means that somebody does not await his writes
   */
  write(bytes: Uint8Array | string): Promise<void> {
    if (this.#ended || !this.#socket.writable) return Promise.reject(closed());
    const mustWait = this.#waiting.length > 0 || this.#socket.writableNeedDrain;
    if (this.#waiting.length >= this.#maxWaiting) return Promise.reject(new Error('too many writes wait'));
    if (!mustWait && this.#put(bytes)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        bytes: mustWait ? bytes : undefined,
        resolve,
        reject,
        cancelTimeout:
          this.#writeTimeoutMs === 0
            ? () => undefined
            : this.#schedule(this.#writeTimeoutMs, () => this.#giveUp(waiter)),
      };
      this.#waiting.push(waiter);
    });
  }

  /** The first frame of a turn goes to the kernel at once, the others of that turn together: each call wakes the peer. */
  #put(bytes: Uint8Array | string): boolean {
    const isRoomLeft = this.#socket.write(bytes);
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    return isRoomLeft;
  }

  readonly #advance = (): void => {
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      if (head.bytes !== undefined) {
        const { bytes } = head;
        head.bytes = undefined;
        if (!this.#put(bytes)) return;
      }
      this.#waiting.shift();
      head.cancelTimeout();
      head.resolve();
    }
  };

  #giveUp(late: Waiter): void {
    late.reject(
      new HearthError(
        'slow_consumer',
        'The connection was closed because its reader did not take what was written. Read faster, or ask for less.',
      ),
    );
    this.#end();
    this.#socket.destroy();
  }

  #end(): void {
    this.#ended = true;
    for (const waiter of this.#waiting.splice(0)) {
      waiter.cancelTimeout();
      waiter.reject(closed());
    }
  }
}

function closed(): HearthError {
  return new HearthError('cancelled', 'The connection was closed.');
}

function systemSchedule(delayMs: number, callback: () => void): () => void {
  const timer = setTimeout(callback, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
}
