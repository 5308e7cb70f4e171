import { HearthError, toV1Code } from './errors.js';
import type { ErrorFrame } from './frames.js';
import type { JsonObject } from './json.js';
import { limits } from './limits.js';
import { parseLine } from './ndjson.js';
import type { DecodedLine } from './ndjson.js';
import { cancelRequestSchema, describeIssues, generateRequestSchema } from './request.js';
import type { GenerateRequest } from './request.js';

/** What a line on the inference socket asks for, and what becomes of the connection. */
export type RequestReading =
  | { readonly kind: 'request'; readonly id: string; readonly request: GenerateRequest }
  | { readonly kind: 'cancel'; readonly id: string; readonly target: string }
  /** An object, but no valid request: answer with `error` under `id`; the connection stays usable (row 15). */
  | { readonly kind: 'invalid'; readonly id: string; readonly error: HearthError }
  /** Not one JSON object in UTF-8: answer with `error` under the empty id and close (row 6). */
  | { readonly kind: 'malformed'; readonly error: HearthError }
  /** Longer than the cap: answer with `error` under the empty id and close (row 2). */
  | { readonly kind: 'too_large'; readonly error: HearthError };

/**
 * Reads one line of the inference socket. Never throws. No error text quotes the line.
 *
 * The id of an invalid request is echoed where it is a string of at most {@link limits.idLength} units.
 */
export function readRequest(line: DecodedLine): RequestReading {
  const parsed = parseLine(line);
  switch (parsed.kind) {
    case 'too_large':
      return { kind: 'too_large', error: tooLarge() };
    case 'malformed':
      return { kind: 'malformed', error: new HearthError('invalid_request', malformedTexts[parsed.reason]) };
    case 'value':
      return readObject(parsed.value);
  }
}

function readObject(value: JsonObject): RequestReading {
  if (Object.hasOwn(value, 'type') && value['type'] === 'cancel') return readCancel(value);
  const result = generateRequestSchema.safeParse(value);
  if (result.success) return { kind: 'request', id: result.data.id, request: result.data };
  const error = new HearthError('invalid_request', describeIssues(result.error));
  return { kind: 'invalid', id: idOf(value), error };
}

function readCancel(value: JsonObject): RequestReading {
  const result = cancelRequestSchema.safeParse(value);
  if (result.success) return { kind: 'cancel', id: result.data.id, target: result.data.target };
  const error = new HearthError('invalid_request', describeIssues(result.error));
  return { kind: 'invalid', id: idOf(value), error };
}

function idOf(value: JsonObject): string {
  const id = Object.hasOwn(value, 'id') ? value['id'] : undefined;
  return typeof id === 'string' && id.length <= limits.idLength ? id : '';
}

const malformedTexts = {
  not_utf8: 'The line is not valid UTF-8. Send one JSON object in UTF-8 a line.',
  not_json: 'The line is not valid JSON. Send one JSON object a line.',
  not_object: 'The line is JSON but not an object. Send one JSON object a line.',
  too_complex: `The line nests deeper than ${limits.jsonDepth} levels or holds more than ${limits.jsonValues} values.`,
} as const;

function tooLarge(): HearthError {
  return new HearthError(
    'frame_too_large',
    `The line is longer than ${limits.frameBytes} bytes. Send less at once.`,
  );
}

/** The error frame for a client that asked for events: the code itself, and whether and when to try again. */
export function toFullErrorFrame(id: string, error: HearthError): ErrorFrame {
  const { code, message, retryable, retryAfterMs } = error;
  const frame = { id, type: 'error', code, message, retryable } as const;
  return retryAfterMs === undefined ? frame : { ...frame, retry_after_ms: Math.round(retryAfterMs) };
}

/** The error frame that a client of v1 sees for `error`: one of v1's five codes. */
export function toErrorFrame(id: string, error: HearthError): ErrorFrame {
  return { id, type: 'error', code: toV1Code(error.code), message: error.message };
}
