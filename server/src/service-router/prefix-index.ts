import type { ByteRange } from './peek-request.js';

/**
 * Which service has seen which beginning of a prompt. The whole prompt counts, in blocks: the hash of each block goes
 * on from the hash of the one before, so that equal hashes mean equal beginnings, whatever the length.
 */

/** Bytes of one block. */
export const blockBytes = 256;
/** Blocks of one prompt that are looked at: its first megabyte. */
export const mostBlocks = 4096;
/** Blocks that are remembered, over all prompts. */
export const mostRemembered = 131_072;

/** Hashes of the whole blocks at the beginning of a prompt, each of all bytes up to its end. */
export function prefixBlocks(body: Buffer, parts: readonly ByteRange[], model: string): readonly number[] {
  const blocks: number[] = [];
  let high = 0x811c9dc5;
  let low = 0x01000193;
  let filled = 0;
  // FNV-1a in two lanes with different primes; 53 bits of both make one number.
  const feed = (byte: number): void => {
    high = Math.imul(high ^ byte, 0x01000193);
    low = Math.imul(low ^ byte, 0x5bd1e995) + filled;
  };
  for (let index = 0; index < model.length; index += 1) feed(model.charCodeAt(index) & 0xff);
  for (const [from, to] of parts) {
    for (let at = from; at < to; at += 1) {
      feed(body[at] ?? 0);
      filled += 1;
      if (filled % blockBytes !== 0) continue;
      blocks.push((high >>> 11) * 2 ** 32 + (low >>> 0));
      if (blocks.length >= mostBlocks) return blocks;
    }
    // Where one text ends and the next begins is part of the prompt.
    feed(0x100);
  }
  return blocks;
}

/** What was found of a prompt. */
export interface PrefixMatch {
  readonly service: string;
  /** How many of the prompt's blocks that service has seen. */
  readonly blocks: number;
}

/** Remembers who served which beginning last; the longest unused is forgotten first. */
export class PrefixIndex {
  readonly #owners = new Map<number, string>();
  readonly #most: number;

  constructor(most = mostRemembered) {
    this.#most = most;
  }

  get size(): number {
    return this.#owners.size;
  }

  /** The service that has seen the most of it, among those that `isThere`. */
  find(blocks: readonly number[], isThere: (service: string) => boolean): PrefixMatch | undefined {
    for (let count = blocks.length; count > 0; count -= 1) {
      const service = this.#owners.get(blocks[count - 1] ?? 0);
      if (service !== undefined && isThere(service)) return { service, blocks: count };
    }
    return undefined;
  }

  remember(blocks: readonly number[], service: string): void {
    for (const block of blocks) {
      this.#owners.delete(block);
      this.#owners.set(block, service);
    }
    while (this.#owners.size > this.#most) {
      const { value } = this.#owners.keys().next();
      if (value === undefined) return;
      this.#owners.delete(value);
    }
  }
}
