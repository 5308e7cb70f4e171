import { HearthError } from './errors.js';
import { parseJsonObject } from './json.js';
import type { JsonObject } from './json.js';
import { limits } from './limits.js';
import { utf8Bytes, utf8Length } from './text.js';

/**
 * The framing of NDJSON v1: one JSON object in UTF-8 and one line feed. Source: behaviours.md 1.2.
 *
 * - A line feed ends a line and is not part of it. A carriage return before it is white space to JSON.
 * - A line that is not valid UTF-8, not JSON, not an object, or blank is malformed.
 * - A line over the cap is refused once, without being kept, and ends the reading: there is no resynchronising.
 */

/** One line as it came off the wire. */
export type DecodedLine =
  | { readonly kind: 'line'; readonly text: string }
  /** The line was not valid UTF-8. */
  | { readonly kind: 'malformed' }
  /** The line was longer than the cap. Nothing follows. */
  | { readonly kind: 'too_large' };

/** One line as a value. */
export type ParsedLine =
  | { readonly kind: 'value'; readonly value: JsonObject }
  | { readonly kind: 'malformed'; readonly reason: 'not_utf8' | 'not_json' | 'not_object' | 'too_complex' }
  | { readonly kind: 'too_large' };

export interface NdjsonDecoderOptions {
  /**
   * Longest line in bytes, its line feed not counted.
   * @default limits.frameBytes (67 108 864)
   */
  readonly maxBytes?: number;
}

const lineFeed = 0x0a;
const smallestBlock = 4096;
const largestBlock = 1_048_576;

/** A stretch of an unfinished line: the first `used` bytes of `bytes`. */
interface Block {
  readonly bytes: Uint8Array;
  used: number;
}

/**
 * Cuts a stream of bytes into lines, however the stream is chopped up.
 *
 * Holds at most `maxBytes` bytes between calls. Chunks are copied, never kept, so the caller may use its buffer
 * again. Each byte is looked at once and copied at most once, whatever the chunk size.
 */
export class NdjsonDecoder {
  readonly #maxBytes: number;
  #blocks: Block[] = [];
  #length = 0;
  #allocated = 0;
  #ended = false;

  constructor(options: NdjsonDecoderOptions = {}) {
    this.#maxBytes = options.maxBytes ?? limits.frameBytes;
  }

  /** Bytes allocated for the unfinished line: never more than `maxBytes`. */
  get bufferedBytes(): number {
    return this.#allocated;
  }

  /** Whether nothing more will come: after {@link end}, or after a line that was too large. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The lines that `chunk` completes, in order. Empty once {@link ended}. */
  push(chunk: Uint8Array): readonly DecodedLine[] {
    const lines: DecodedLine[] = [];
    let start = 0;
    while (start < chunk.length && !this.#ended) {
      const feed = chunk.indexOf(lineFeed, start);
      const stop = feed === -1 ? chunk.length : feed;
      if (this.#length + (stop - start) > this.#maxBytes) {
        this.#ended = true;
        this.#forget();
        lines.push({ kind: 'too_large' });
      } else if (feed === -1) {
        this.#keep(chunk.subarray(start));
      } else {
        lines.push(this.#finish(chunk.subarray(start, feed)));
      }
      start = stop + 1;
    }
    return lines;
  }

  /** The stream has ended: gives the last line where it had no line feed. A clean end gives nothing. */
  end(): readonly DecodedLine[] {
    if (this.#ended) return [];
    this.#ended = true;
    return this.#length === 0 ? [] : [this.#finish(new Uint8Array(0))];
  }

  #keep(bytes: Uint8Array): void {
    let rest = bytes;
    while (rest.length > 0) {
      const block = this.#blockWithRoom();
      const part = rest.subarray(0, block.bytes.length - block.used);
      block.bytes.set(part, block.used);
      block.used += part.length;
      this.#length += part.length;
      rest = rest.subarray(part.length);
    }
  }

  /** Blocks double in size, so that a long line takes few of them and a short one little memory. */
  #blockWithRoom(): Block {
    const last = this.#blocks.at(-1);
    if (last !== undefined && last.used < last.bytes.length) return last;
    const wanted = last === undefined ? smallestBlock : Math.min(last.bytes.length * 2, largestBlock);
    const block = { bytes: new Uint8Array(Math.min(wanted, this.#maxBytes - this.#allocated)), used: 0 };
    this.#allocated += block.bytes.length;
    this.#blocks.push(block);
    return block;
  }

  #finish(tail: Uint8Array): DecodedLine {
    // ignoreBOM keeps a byte order mark in the text, where JSON refuses it.
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    try {
      let text = '';
      for (const block of this.#blocks) {
        text += decoder.decode(block.bytes.subarray(0, block.used), { stream: true });
      }
      return { kind: 'line', text: text + decoder.decode(tail) };
    } catch {
      return { kind: 'malformed' };
    } finally {
      this.#forget();
    }
  }

  #forget(): void {
    this.#blocks = [];
    this.#length = 0;
    this.#allocated = 0;
  }
}

/** The JSON object in a line. Never throws. */
export function parseLine(line: DecodedLine, mostValues?: number): ParsedLine {
  switch (line.kind) {
    case 'line':
      return parseJsonObject(line.text, mostValues);
    case 'malformed':
      return { kind: 'malformed', reason: 'not_utf8' };
    case 'too_large':
      return line;
  }
}

/**
 * `frame` as one line with its line feed.
 *
 * @throws HearthError `frame_too_large` where the JSON takes `maxBytes` bytes or more.
 */
export function encodeFrame(frame: object, maxBytes: number = limits.frameBytes): string {
  const text = JSON.stringify(frame);
  // A UTF-16 unit takes at most three bytes, so short texts need no counting.
  if (text.length * 3 >= maxBytes && utf8Length(text) >= maxBytes) {
    throw new HearthError('frame_too_large', `A frame must be smaller than ${maxBytes} bytes.`);
  }
  return `${text}\n`;
}

/** {@link encodeFrame} in bytes. */
export function encodeFrameBytes(frame: object, maxBytes: number = limits.frameBytes): Uint8Array {
  return utf8Bytes(encodeFrame(frame, maxBytes));
}
