import * as z from 'zod';
import type { ResponseFrame } from './frames.js';
import { isJsonObject } from './json.js';
import { utf8Bytes } from './text.js';
import type { TypedReplyFrame } from './typed-replies.js';

/**
 * The form of the conformance vectors in `protocol/vectors/`, and what a runner needs to run them.
 * `protocol/vectors/README.md` says the same for those who use another language.
 */

/** A stretch of bytes: text in UTF-8, bytes in hexadecimal, or a text many times over. */
export const bytesPartSchema = z.union([
  z.strictObject({ utf8: z.string() }),
  z.strictObject({ hex: z.string().regex(/^([0-9a-f]{2})*$/) }),
  z.strictObject({ repeat: z.strictObject({ utf8: z.string(), count: z.int().min(1) }) }),
]);
export type BytesPart = z.infer<typeof bytesPartSchema>;

/**
 * How the bytes are cut: all at once; one byte a chunk; so many bytes a chunk; or chunks of these sizes and then
 * the rest.
 */
export const chunkingSchema = z.union([
  z.literal('whole'),
  z.literal('bytes'),
  z.int().min(1),
  z.array(z.int().min(1)),
]);
export type Chunking = z.infer<typeof chunkingSchema>;

const common = {
  /** Unique in its file. */
  name: z.string().min(1),
  /** What it shows, where the name does not say it. */
  note: z.string().optional(),
  /** Rows of the acceptance table that it proves. */
  rows: z.array(z.int()),
};
const input = { input: z.array(bytesPartSchema), chunks: z.array(chunkingSchema).min(1) };

/** What a decoder makes of one line. A `value` that is absent may be any object. */
export const expectedLineSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('value'), value: z.record(z.string(), z.unknown()).optional() }),
  z.strictObject({ kind: z.literal('malformed') }),
  z.strictObject({ kind: z.literal('too_large') }),
]);
export type ExpectedLine = z.infer<typeof expectedLineSchema>;

/** Bytes in, lines out. After the input the stream ends. */
export const decodeVectorSchema = z.strictObject({
  ...common,
  ...input,
  expect: z.array(expectedLineSchema),
});
export type DecodeVector = z.infer<typeof decodeVectorSchema>;

/** A value in, the exact bytes of its frame out. Keys are written in the order of the value. */
export const encodeVectorSchema = z.strictObject({
  ...common,
  value: z.record(z.string(), z.unknown()),
  expect: z.array(bytesPartSchema),
});
export type EncodeVector = z.infer<typeof encodeVectorSchema>;

/** A frame that must come. Every key of `frame` must be equal; keys that it does not have are free. */
export const expectedFrameSchema = z.strictObject({
  frame: z.looseObject({ id: z.string(), type: z.string() }),
  /** For an `error`: a text that its message contains. */
  message_contains: z.string().optional(),
});
export type ExpectedFrame = z.infer<typeof expectedFrameSchema>;

/** A frame of an answer, typed or not. */
export type VectorFrame = ResponseFrame | TypedReplyFrame;

/** Bytes sent to a daemon, and every frame that it answers, no more and no fewer. */
export const daemonVectorSchema = z.strictObject({
  ...common,
  ...input,
  /**
   * What happens after the input. `half_close`: the client ends its direction at once. `usable`: once the answers
   * are there, the same connection serves a good request. `closes`: the daemon closes by itself.
   */
  then: z.enum(['half_close', 'usable', 'closes']),
  expect: z.array(expectedFrameSchema),
});
export type DaemonVector = z.infer<typeof daemonVectorSchema>;

export const decodeVectorsSchema = z.strictObject({
  format: z.literal(1),
  vectors: z.array(decodeVectorSchema),
});
export const encodeVectorsSchema = z.strictObject({
  format: z.literal(1),
  vectors: z.array(encodeVectorSchema),
});
export const daemonVectorsSchema = z.strictObject({
  format: z.literal(1),
  /** The mock engine that the daemon must run, as `--mock` takes it. */
  mock: z.strictObject({
    tokens: z.array(z.string()),
    name: z.string(),
    /** Answers to prompts that hold certain words. */
    script: z.array(z.looseObject({ when: z.string() })),
  }),
  vectors: z.array(daemonVectorSchema),
});
/** The whole of `vectors/daemon.json`. */
export type DaemonVectors = z.infer<typeof daemonVectorsSchema>;

/** The bytes that `parts` stand for. */
export function bytesOf(parts: readonly BytesPart[]): Uint8Array {
  const pieces = parts.map(partBytes);
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let offset = 0;
  for (const piece of pieces) {
    bytes.set(piece, offset);
    offset += piece.length;
  }
  return bytes;
}

function partBytes(part: BytesPart): Uint8Array {
  if ('utf8' in part) return utf8Bytes(part.utf8);
  if ('repeat' in part) return repeated(utf8Bytes(part.repeat.utf8), part.repeat.count);
  const bytes = new Uint8Array(part.hex.length / 2);
  for (let index = 0; index < bytes.length; index += 1) {
    bytes[index] = Number.parseInt(part.hex.slice(index * 2, index * 2 + 2), 16);
  }
  return bytes;
}

function repeated(unit: Uint8Array, count: number): Uint8Array {
  const bytes = new Uint8Array(unit.length * count);
  bytes.set(unit);
  // Each turn doubles what is there.
  for (let done = unit.length; done > 0 && done < bytes.length; done *= 2) bytes.copyWithin(done, 0, done);
  return bytes;
}

/** `bytes` cut up as `chunking` says. The chunks are views, not copies. */
export function* chunksOf(bytes: Uint8Array, chunking: Chunking): Generator<Uint8Array, void, void> {
  const sizes = Array.isArray(chunking) ? [...chunking] : [];
  const otherwise = chunking === 'bytes' ? 1 : typeof chunking === 'number' ? chunking : bytes.length;
  let offset = 0;
  while (offset < bytes.length) {
    const size = sizes.shift() ?? otherwise;
    yield bytes.subarray(offset, offset + size);
    offset += size;
  }
}

/**
 * How `frames` differ from what a vector expects, one line each; empty where they agree. The order of frames
 * counts among those of one id only: answers to different requests may interleave.
 */
export function compareFrames(
  expected: readonly ExpectedFrame[],
  frames: readonly VectorFrame[],
): readonly string[] {
  const ids = new Set([...expected.map((item) => item.frame.id), ...frames.map((frame) => frame.id)]);
  return [...ids].flatMap((id) =>
    compareInOrder(
      id,
      expected.filter((item) => item.frame.id === id),
      frames.filter((frame) => frame.id === id),
    ),
  );
}

function compareInOrder(
  id: string,
  expected: readonly ExpectedFrame[],
  frames: readonly VectorFrame[],
): string[] {
  const where = `id ${JSON.stringify(id)}`;
  if (expected.length !== frames.length) {
    const types = frames.map((frame) => frame.type).join(', ');
    return [`${where}: ${expected.length} frames expected, ${frames.length} came (${types})`];
  }
  return expected.flatMap((item, index) => {
    const frame = frames[index];
    if (frame === undefined || !includes(frame, item.frame)) {
      return [`${where}: frame ${index} is ${JSON.stringify(frame)}, expected ${JSON.stringify(item.frame)}`];
    }
    const text = item.message_contains;
    if (text !== undefined && !(frame.type === 'error' && frame.message.includes(text))) {
      return [`${where}: the message of frame ${index} does not contain ${JSON.stringify(text)}`];
    }
    return [];
  });
}

/** Whether every key of `part` is in `whole` with an equal value, objects likewise; lists are as long as each other. */
function includes(whole: unknown, part: unknown): boolean {
  if (Array.isArray(part)) {
    const items: readonly unknown[] = part;
    if (!Array.isArray(whole) || whole.length !== items.length) return false;
    return items.every((item, index) => includes(whole[index], item));
  }
  if (!isJsonObject(part)) return whole === part;
  return isJsonObject(whole) && Object.keys(part).every((key) => includes(whole[key], part[key]));
}
