import { adminFrameSchema, responseFrameSchema } from './frames.js';
import type { AdminFrame, ResponseFrame } from './frames.js';
import { limits } from './limits.js';
import { parseLine } from './ndjson.js';
import type { DecodedLine } from './ndjson.js';

/**
 * What a client makes of a line that the daemon wrote. `ignored` is what a later daemon may add and an older
 * client passes over; `malformed` is what no daemon writes, and the connection is of no more use.
 */
export type FrameReading<Frame> =
  | { readonly kind: 'frame'; readonly frame: Frame }
  | { readonly kind: 'ignored' }
  | { readonly kind: 'malformed' };

const knownTypes: ReadonlySet<unknown> = new Set(
  responseFrameSchema.options.map((option) => option.shape.type.value),
);

/** Reads a line of the inference socket. A frame of an unknown `type` is ignored. Never throws. */
export function readResponse(line: DecodedLine): FrameReading<ResponseFrame> {
  const parsed = parseLine(line, limits.answerValues);
  if (parsed.kind !== 'value') return { kind: 'malformed' };
  const result = responseFrameSchema.safeParse(parsed.value);
  if (result.success) return { kind: 'frame', frame: result.data };
  const type = parsed.value['type'];
  return typeof type === 'string' && !knownTypes.has(type) ? { kind: 'ignored' } : { kind: 'malformed' };
}

/** Reads a line of the admin socket. Unknown states and phases are ignored, unknown keys left out. Never throws. */
export function readAdminFrame(line: DecodedLine): FrameReading<AdminFrame> {
  const parsed = parseLine(line);
  if (parsed.kind !== 'value') return { kind: 'malformed' };
  const result = adminFrameSchema.safeParse(parsed.value);
  return result.success ? { kind: 'frame', frame: result.data } : { kind: 'ignored' };
}
