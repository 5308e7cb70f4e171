import { readdirSync, readFileSync } from 'node:fs';

/** Descriptors that are kept free for everything but clients: engine workers, the log, and the refusal itself. */
const reserved = 32;

/** Connections that are served whatever the limit. */
const least = 4;

/**
 * How many connections a process may hold at once: `most`, or what its limit of descriptors leaves, so that there is
 * always one with which to accept a connection and close it in order. Where the limit is not known it is `most`; then
 * the kernel's own refusal comes first, which libuv answers by closing what waits (`uv__emfile_trick`).
 *
 * @param most whatever the limit
 * @param read the file system, as Linux shows processes in it
 */
export function connectionBudget(most: number, read: DescriptorTable = ownTable): number {
  const limit = read.limit();
  if (limit === undefined) return most;
  return Math.max(least, Math.min(most, limit - read.inUse() - reserved));
}

export interface DescriptorTable {
  /** The limit of this process; undefined where it is not known, or there is none. */
  limit(): number | undefined;
  /** Descriptors that are open now. */
  inUse(): number;
}

const ownTable: DescriptorTable = {
  limit: () => {
    if (process.platform !== 'linux') return undefined;
    try {
      const soft = /^Max open files\s+(\d+)/mu.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
      return soft === undefined ? undefined : Number(soft);
    } catch {
      return undefined;
    }
  },
  inUse: () => readdirSync('/proc/self/fd').length,
};

/**
 * Tells of connections that were turned away: the first at once, those that follow within a second together, so that
 * a storm of them does not become one of records.
 */
export class ShedReport {
  readonly #tell: (count: number) => void;
  readonly #now: () => number;
  #count = 0;
  #lastAt = -Infinity;

  /** @param tell of so many since it was called last. @param now monotonic milliseconds. */
  constructor(tell: (count: number) => void, now: () => number) {
    this.#tell = tell;
    this.#now = now;
  }

  add(): void {
    this.#count += 1;
    if (this.#now() - this.#lastAt < 1000) return;
    this.#lastAt = this.#now();
    this.#tell(this.#count);
    this.#count = 0;
  }
}
