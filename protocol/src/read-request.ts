import { isChannelRequest, parseChannelRequest } from './channels.js';
import type { ChannelRequest } from './channels.js';
import { HearthError, toHearthError, toV1Code } from './errors.js';
import type { ErrorCode } from './errors.js';
import type { ErrorFrame } from './frames.js';
import { isJsonObject } from './json.js';
import type { JsonObject } from './json.js';
import { limits } from './limits.js';
import { parseLine } from './ndjson.js';
import type { DecodedLine } from './ndjson.js';
import { cancelRequestSchema, describeIssues, generateRequestSchema, typedWireVersion } from './request.js';
import type { GenerateRequest } from './request.js';
import { typedRequestSchema } from './typed-requests.js';
import type { TypedRequest } from './typed-requests.js';

/** What a line on the inference socket asks for, and what becomes of the connection. */
export type RequestReading =
  | { readonly kind: 'request'; readonly id: string; readonly request: GenerateRequest }
  /** Asks for something other than a generation. */
  | { readonly kind: 'typed'; readonly id: string; readonly request: TypedRequest }
  | { readonly kind: 'cancel'; readonly id: string; readonly target: string }
  | { readonly kind: 'channel'; readonly id: string; readonly request: ChannelRequest }
  /** An object, but no valid request: answer with `error` under `id`; the connection stays usable (row 15). */
  | { readonly kind: 'invalid'; readonly id: string; readonly error: HearthError }
  /** Of a version of typed replies that is not known here: answer with `error` under `id` and close (row 29). */
  | { readonly kind: 'wrong_version'; readonly id: string; readonly error: HearthError }
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
  const type = Object.hasOwn(value, 'type') ? value['type'] : undefined;
  if (type === 'cancel') return readCancel(value);
  if (isChannelRequest(value)) return readChannelRequest(value);
  if (isTypedRequest(type)) return readTyped(value);
  const refusal = wrongVersion(value);
  if (refusal !== undefined) return refusal;
  const oversized = declaredTooMuch(value);
  if (oversized !== undefined) return { kind: 'invalid', id: idOf(value), error: oversized };
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

const typedTypes: ReadonlySet<unknown> = new Set(
  typedRequestSchema.options.map((option) => option.shape.type.value),
);

function isTypedRequest(type: unknown): boolean {
  return typedTypes.has(type);
}

function readTyped(value: JsonObject): RequestReading {
  const result = typedRequestSchema.safeParse(value);
  if (result.success) return { kind: 'typed', id: result.data.id, request: result.data };
  const error = new HearthError('invalid_request', describeIssues(result.error));
  return { kind: 'invalid', id: idOf(value), error };
}

/** Another version of typed replies than ours; nothing else of the request is looked at (row 29). */
function wrongVersion(value: JsonObject): RequestReading | undefined {
  const version = Object.hasOwn(value, 'wire_version') ? value['wire_version'] : undefined;
  if (typeof version !== 'number' || version === typedWireVersion) return undefined;
  const text = `wire_version ${version} is not known here; this daemon speaks wire_version ${typedWireVersion}`;
  return { kind: 'wrong_version', id: idOf(value), error: new HearthError('wire_version_unsupported', text) };
}

/** Attachments that say that they are too large together, before any of them is looked at (row 32). */
function declaredTooMuch(value: JsonObject): HearthError | undefined {
  const attachments = Object.hasOwn(value, 'attachments') ? value['attachments'] : undefined;
  if (!Array.isArray(attachments) || attachments.length > limits.attachments) return undefined;
  const declared = attachments.reduce(
    (sum: number, attachment: unknown) => sum + declaredLength(attachment),
    0,
  );
  if (declared <= limits.attachmentBytes) return undefined;
  return new HearthError(
    'frame_too_large',
    `attachments: together they declare more than ${limits.attachmentBytes} bytes`,
  );
}

function declaredLength(attachment: unknown): number {
  if (!isJsonObject(attachment)) return 0;
  const length = attachment['len'];
  return typeof length === 'number' && length > 0 ? length : 0;
}

function readChannelRequest(value: JsonObject): RequestReading {
  try {
    const request = parseChannelRequest(value);
    return { kind: 'channel', id: request.id, request };
  } catch (error) {
    return { kind: 'invalid', id: idOf(value), error: toHearthError(error) };
  }
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

/** What a typed reply may say beside the codes of version 1 (row 34). */
export const typedReplyCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'attachment_unsupported',
  'tool_call_malformed',
  'wire_version_unsupported',
]);

/**
 * The error frame that a client of v1 sees for `error`: one of v1's five codes.
 *
 * @param known codes that the client knows beside those.
 */
export function toErrorFrame(
  id: string,
  error: HearthError,
  known: ReadonlySet<ErrorCode> = new Set(),
): ErrorFrame {
  const code = known.has(error.code) ? error.code : toV1Code(error.code);
  return { id, type: 'error', code, message: error.message };
}
