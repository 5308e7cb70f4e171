import type { GgufReader } from './gguf-reader.js';
import { ModelFileError } from './model-file-error.js';

/** What the parts of the GGUF check share: bounds, and reading within them. */

/** Bounds of a header. A real file stays far below each. */
export const ggufBounds = {
  keys: 65_536n,
  tensors: 65_536n,
  keyBytes: 1024n,
  /** llama.cpp takes 63. */
  tensorNameBytes: 256n,
  stringBytes: 64n * 1024n * 1024n,
  arrayElements: 16n * 1024n * 1024n,
  /** Arrays of arrays of … */
  arrayDepth: 4,
  dimensions: 4,
  /** Longest entry of a vocabulary. llama.cpp holds such a length in 32 bits (CVE-2025-49847). */
  tokenBytes: 65_535,
  /** Most layers of a model. */
  layers: 4096n,
  /** llama.cpp ends the process beyond. */
  blocks: 512,
  alignment: 65_536,
} as const;

/** A string of at most `bound` bytes, which is at most 1 KiB. */
export async function readString(reader: GgufReader, bound: bigint, what: string): Promise<string> {
  const length = Number(bounded(await reader.uint64(), bound, `${what} length`));
  if (!reader.has(length)) await reader.need(length);
  return reader.take(length).toString('utf8');
}

export function bounded(value: bigint, bound: bigint, what: string): bigint {
  if (value > bound) throw corrupt(what);
  return value;
}

export function corrupt(what: string): ModelFileError {
  return new ModelFileError('corrupt', { detail: what });
}
