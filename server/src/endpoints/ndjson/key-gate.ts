import { createHash, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import { NdjsonDecoder, readAuthKey } from '@hearth/protocol';

/** Longest first line of a connection that must show a key, in bytes. */
const maxKeyLine = 8192;
/** How long it may take to come, in milliseconds. */
const keyPatienceMs = 10_000;
const lineFeed = 0x0a;

/**
 * What a connection must pass that has to show a key (row 40). Until it has, nothing of it is kept beyond one short
 * line, and it has little time: a stranger costs next to nothing.
 */
export class KeyGate {
  readonly #key: string;
  readonly #late: NodeJS.Timeout;
  #line = Buffer.alloc(0);
  #isOpen = false;

  constructor(socket: Socket, key: string) {
    this.#key = key;
    this.#late = setTimeout(() => socket.destroy(), keyPatienceMs).unref();
    socket.once('close', () => {
      clearTimeout(this.#late);
    });
  }

  /** Whether the right key was shown. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** The bytes that follow the key, none while it is incomplete; undefined where it is wrong, or no key at all. */
  pass(chunk: Buffer): Buffer | undefined {
    if (this.#isOpen) return chunk;
    const end = chunk.indexOf(lineFeed);
    this.#line = Buffer.concat([this.#line, end === -1 ? chunk : chunk.subarray(0, end + 1)]);
    if (this.#line.length > maxKeyLine) return undefined;
    if (end === -1) return Buffer.alloc(0);
    const [line] = new NdjsonDecoder({ maxBytes: maxKeyLine }).push(this.#line);
    const given = line === undefined ? undefined : readAuthKey(line);
    if (given === undefined || !isSameSecret(given, this.#key)) return undefined;
    this.#isOpen = true;
    clearTimeout(this.#late);
    return chunk.subarray(end + 1);
  }
}

/** Compares digests of equal length in constant time, so that the time taken tells nothing of the key. */
function isSameSecret(given: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(right));
}
