import type { BigIntStats } from 'node:fs';

const mostFiles = 256;

/**
 * Remembers whose checksum was right, so that a model which comes and goes is not read whole each time. A file is
 * known by device, number, size and both times of change: no program but root's can write to it and keep those.
 */
export class VerifiedFiles {
  /** Identity and hash, oldest first. At most 256. */
  readonly #known = new Set<string>();

  has(file: BigIntStats, sha256: string): boolean {
    return this.#known.has(keyOf(file, sha256));
  }

  add(file: BigIntStats, sha256: string): void {
    this.#known.add(keyOf(file, sha256));
    for (const oldest of this.#known) {
      if (this.#known.size <= mostFiles) return;
      this.#known.delete(oldest);
    }
  }
}

function keyOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats, sha256: string): string {
  return [dev, ino, size, mtimeNs, ctimeNs, sha256].join(' ');
}
