import type { GgufFacts } from '../gguf-facts.js';

/** How keys and values of a context are kept: as half floats, or as bytes with a scale for each 32. */
export const keyValueTypes = ['f16', 'q8_0'] as const;
export type KeyValueType = (typeof keyValueTypes)[number];

/** Bytes of one number. Source: ggml.h; a block of Q8_0 is 34 bytes for 32 numbers. */
export const keyValueBytes: Readonly<Record<KeyValueType, number>> = { f16: 2, q8_0: 34 / 32 };

/** Numbers of a block of Q8_0: a head's keys have to be whole blocks. */
const blockLength = 32;

/** The type that `wanted` comes to for a model: half floats where its heads do not fit the other. */
export function keyValueTypeFor({ shape }: GgufFacts, wanted: KeyValueType): KeyValueType {
  if (shape === undefined || shape.latentLength !== undefined) return 'f16';
  return shape.keyLength % blockLength === 0 && shape.valueLength % blockLength === 0 ? wanted : 'f16';
}
