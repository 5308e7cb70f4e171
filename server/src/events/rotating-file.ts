import fs from 'node:fs';
import path from 'node:path';

/**
 * A file of lines that never grows past its cap, with three older generations beside it (row 93): before the
 * write that would exceed the cap, `file` becomes `file.1`, `.1` becomes `.2`, `.2` becomes `.3`, and what was `.3`
 * is gone. A single line above the cap gets a file of its own.
 *
 * Writes are synchronous: an append of a few hundred bytes to the page cache costs some 10 µs (measured), there are a
 * few a request, they are on disk if the process dies in the next instant, and no buffer can grow behind a slow disk.
 *
 * Several daemons may share a file: lines are appended whole, and each writer notices when another has rotated.
 */
export class RotatingFile {
  readonly #path: string;
  readonly #maxBytes: number;
  readonly #fs: RotatingFileSystem;
  #live: { readonly descriptor: number; readonly ino: number; readonly dev: number } | undefined;
  #closed = false;
  #lost = 0;
  #problem: string | undefined;

  constructor(options: RotatingFileOptions) {
    this.#path = options.path;
    this.#maxBytes = options.maxBytes ?? defaultMaxBytes;
    this.#fs = options.fs ?? fs;
  }

  /** Lines that could not be written. */
  get lost(): number {
    return this.#lost;
  }

  /** The system's code of the last failure, such as `ENOSPC`; undefined once a write has succeeded again. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /**
   * Appends one line and its line feed. Never throws: logging must not stop the work. A line that cannot be
   * written is counted and dropped, and the next one is tried afresh.
   *
   * @param line without a line feed
   */
  write(line: string): void {
    if (this.#closed) return;
    try {
      this.#append(Buffer.from(`${line}\n`));
      this.#problem = undefined;
    } catch (error) {
      this.#lost += 1;
      this.#problem = codeOf(error);
      this.#forget();
    }
  }

  /** Later writes do nothing. */
  close(): void {
    this.#closed = true;
    this.#forget();
  }

  #append(bytes: Buffer): void {
    let open = this.#open();
    if (open.size > 0 && open.size + bytes.length > this.#maxBytes) {
      this.#rotate();
      open = this.#open();
    }
    const written = this.#fs.writeSync(open.descriptor, bytes);
    if (written === bytes.length) return;
    // A disk that fills up takes part of the line. Half a line would spoil the next one, too.
    this.#fs.ftruncateSync(open.descriptor, open.size);
    throw Object.assign(new Error('short write'), { code: 'ENOSPC' });
  }

  /** The live file, opened again where somebody has moved or removed it. */
  #open(): { readonly descriptor: number; readonly size: number } {
    const ours = this.#live;
    if (ours !== undefined) {
      const live = this.#fs.statSync(this.#path, { throwIfNoEntry: false });
      if (live?.ino === ours.ino && live.dev === ours.dev)
        return { descriptor: ours.descriptor, size: live.size };
      this.#forget();
    }
    this.#fs.mkdirSync(path.dirname(this.#path), { recursive: true, mode: 0o700 });
    const descriptor = this.#fs.openSync(this.#path, appendFlags, 0o600);
    const opened = this.#fs.fstatSync(descriptor);
    this.#live = { descriptor, ino: opened.ino, dev: opened.dev };
    if (!opened.isFile()) throw Object.assign(new Error('not a file'), { code: 'EINVAL' });
    if ((opened.mode & 0o077) !== 0) this.#fs.fchmodSync(descriptor, 0o600);
    return { descriptor, size: opened.size };
  }

  /** Throws where the file cannot be moved: the cap is a promise, so the line is dropped rather than appended. */
  #rotate(): void {
    this.#forget();
    for (let generation = keptGenerations - 1; generation >= 1; generation -= 1) {
      this.#moveIfPresent(`${this.#path}.${generation}`, `${this.#path}.${generation + 1}`);
    }
    this.#moveIfPresent(this.#path, `${this.#path}.1`);
  }

  #moveIfPresent(from: string, to: string): void {
    try {
      this.#fs.renameSync(from, to);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }

  #forget(): void {
    const live = this.#live;
    if (live === undefined) return;
    this.#live = undefined;
    try {
      this.#fs.closeSync(live.descriptor);
    } catch {
      // Nothing to be done: the descriptor is free either way.
    }
  }
}

export interface RotatingFileOptions {
  /** Absolute path of the live file. Its directory is made with mode 0700 where it is missing; the file has 0600. */
  readonly path: string;
  /** Cap of one file in bytes. @default 16 MiB */
  readonly maxBytes?: number;
  /** @default node:fs */
  readonly fs?: RotatingFileSystem;
}

/** What of `node:fs` is used, so that a test can stand in for a disk that is full. */
export type RotatingFileSystem = Pick<
  typeof fs,
  | 'openSync'
  | 'closeSync'
  | 'writeSync'
  | 'fstatSync'
  | 'statSync'
  | 'fchmodSync'
  | 'ftruncateSync'
  | 'renameSync'
  | 'mkdirSync'
>;

/** Older files that are kept beside the live one. */
export const keptGenerations = 3;
const defaultMaxBytes = 16 * 1024 * 1024;

/** O_NOFOLLOW is missing on Windows. */
const appendFlags =
  fs.constants.O_WRONLY |
  fs.constants.O_APPEND |
  fs.constants.O_CREAT |
  ((fs.constants as Readonly<Record<string, number | undefined>>)['O_NOFOLLOW'] ?? 0);

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
}
