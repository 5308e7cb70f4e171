import os from 'node:os';

/** Processor times in milliseconds since some moment: of the whole machine, and of this process. */
export interface ProcessorTimes {
  readonly cores: number;
  /** Of all cores together, whoever used them; without work of low priority, which makes way. */
  readonly busyMs: number;
  readonly ownMs: number;
}

export interface MachineRoomOptions {
  /** Default: what the system says. */
  readonly read?: () => ProcessorTimes;
  /** Least milliseconds between two readings. Default: 250. */
  readonly everyMs?: number;
}

/** Part of a core that others may use without being in the way. */
const slack = 0.35;

/** Tells whether the work of others leaves cores for so many threads. What it says is some hundred milliseconds old. */
export class MachineRoom {
  readonly #read: () => ProcessorTimes;
  readonly #everyMs: number;
  #last: { readonly times: ProcessorTimes; readonly at: number } | undefined;
  /** Cores that others kept busy. */
  #others: number | undefined;

  constructor({ read = readProcessorTimes, everyMs = 250 }: MachineRoomOptions = {}) {
    this.#read = read;
    this.#everyMs = everyMs;
  }

  /**
   * Undefined until two readings lie far enough apart.
   *
   * @param now A monotonic clock in milliseconds.
   */
  has(threads: number, now: number): boolean | undefined {
    const elapsed = this.#last === undefined ? Infinity : now - this.#last.at;
    if (elapsed >= this.#everyMs) {
      const times = this.#read();
      // Long ago says nothing of now.
      this.#others =
        this.#last === undefined || elapsed > 8 * this.#everyMs
          ? undefined
          : othersBusy(this.#last.times, times, elapsed);
      this.#last = { times, at: now };
    }
    const { times } = this.#last ?? {};
    if (this.#others === undefined || times === undefined) return undefined;
    return times.cores - this.#others + slack >= threads;
  }
}

/** How many cores others than this process kept busy in `elapsed` milliseconds. */
export function othersBusy(before: ProcessorTimes, after: ProcessorTimes, elapsed: number): number {
  return (after.busyMs - before.busyMs - (after.ownMs - before.ownMs)) / Math.max(1, elapsed);
}

/** What the system says. */
export function readProcessorTimes(): ProcessorTimes {
  const cpus = os.cpus();
  const own = process.cpuUsage();
  const busyMs = cpus.reduce((sum, { times }) => sum + times.user + times.sys + times.irq, 0);
  return { cores: cpus.length, busyMs, ownMs: (own.user + own.system) / 1000 };
}
