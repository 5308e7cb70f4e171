import type { FileHandle } from 'node:fs/promises';
import { ModelFileError } from './model-file-error.js';

const windowBytes = 256 * 1024;

/**
 * Reads a GGUF header from front to back through a window of 256 KiB. Every read is checked against the end of the
 * file first, so a length that lies costs nothing.
 *
 * Numbers are little-endian. A read past the end of the file throws {@link ModelFileError} `truncated`.
 */
export class GgufReader {
  readonly #file: FileHandle;
  readonly #fileBytes: number;
  #window: Buffer = Buffer.alloc(0);
  /** Where the window begins in the file. */
  #windowStart = 0;
  /** Next byte to read, within the window. */
  #cursor = 0;

  constructor(file: FileHandle, fileBytes: number) {
    this.#file = file;
    this.#fileBytes = fileBytes;
  }

  /** Offset in the file of the next byte. */
  get position(): number {
    return this.#windowStart + this.#cursor;
  }

  get remaining(): number {
    return this.#fileBytes - this.position;
  }

  /** Whether `count` bytes can be taken without waiting for the file. */
  has(count: number): boolean {
    return this.#window.length - this.#cursor >= count;
  }

  /** Makes sure that `count` bytes, at most 256 KiB, can be taken. */
  async need(count: number): Promise<void> {
    if (this.has(count)) return;
    if (count > this.remaining) throw new ModelFileError('truncated', { detail: 'the header is cut off' });
    const start = this.position;
    const size = Math.min(windowBytes, this.#fileBytes - start);
    const window = Buffer.allocUnsafe(size);
    let filled = 0;
    while (filled < size) {
      const { bytesRead } = await this.#file.read(window, filled, size - filled, start + filled);
      if (bytesRead === 0)
        throw new ModelFileError('truncated', { detail: 'the file shrank while it was read' });
      filled += bytesRead;
    }
    this.#window = window;
    this.#windowStart = start;
    this.#cursor = 0;
  }

  /** The next `count` bytes, which {@link need} has made ready. Valid until the next `need`. */
  take(count: number): Buffer {
    const bytes = this.#window.subarray(this.#cursor, this.#cursor + count);
    this.#cursor += count;
    return bytes;
  }

  async uint32(): Promise<number> {
    if (!this.has(4)) await this.need(4);
    return this.take(4).readUInt32LE();
  }

  async uint64(): Promise<bigint> {
    if (!this.has(8)) await this.need(8);
    return this.take(8).readBigUInt64LE();
  }

  /** Goes on by `count` bytes without looking at them. */
  async skip(count: bigint): Promise<void> {
    if (count > BigInt(this.remaining))
      throw new ModelFileError('truncated', { detail: 'the header is cut off' });
    const target = this.position + Number(count);
    if (target <= this.#windowStart + this.#window.length) {
      this.#cursor = target - this.#windowStart;
      return;
    }
    this.#window = Buffer.alloc(0);
    this.#windowStart = target;
    this.#cursor = 0;
    return Promise.resolve();
  }
}
