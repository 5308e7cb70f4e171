/**
 * The closed registry of Hearth's errors. A code, once published, is never given another meaning, and a
 * retired code is never used again.
 *
 * `v1` is the code that a client of NDJSON v1 sees in its place: v1 knows five codes and no others.
 */
export const errorCatalogue = {
  queue_full: { retryable: true, v1: 'queue_full' },
  backend_unavailable: { retryable: true, v1: 'backend_unavailable' },
  invalid_request: { retryable: false, v1: 'invalid_request' },
  frame_too_large: { retryable: false, v1: 'frame_too_large' },
  internal: { retryable: false, v1: 'internal' },
  queue_timeout: { retryable: true, v1: 'queue_full' },
  cancelled: { retryable: false, v1: 'backend_unavailable' },
  superseded: { retryable: false, v1: 'backend_unavailable' },
  draining: { retryable: true, v1: 'backend_unavailable' },
  model_not_found: { retryable: false, v1: 'invalid_request' },
  model_load_failed: { retryable: false, v1: 'backend_unavailable' },
  insufficient_memory: { retryable: false, v1: 'backend_unavailable' },
  engine_crashed: { retryable: true, v1: 'backend_unavailable' },
  engine_hung: { retryable: true, v1: 'backend_unavailable' },
  unsupported_parameter: { retryable: false, v1: 'invalid_request' },
  unauthenticated: { retryable: false, v1: 'invalid_request' },
  forbidden: { retryable: false, v1: 'invalid_request' },
  slow_consumer: { retryable: false, v1: 'internal' },
  deadline_exceeded: { retryable: true, v1: 'backend_unavailable' },
  limit_exceeded: { retryable: true, v1: 'queue_full' },
  not_found: { retryable: false, v1: 'invalid_request' },
  conflict: { retryable: false, v1: 'invalid_request' },
  peer_disconnected: { retryable: true, v1: 'backend_unavailable' },
  attachment_unsupported: { retryable: false, v1: 'invalid_request' },
  tool_call_malformed: { retryable: true, v1: 'internal' },
  wire_version_unsupported: { retryable: false, v1: 'invalid_request' },
  embed_unsupported: { retryable: false, v1: 'invalid_request' },
  rerank_unsupported: { retryable: false, v1: 'invalid_request' },
} as const satisfies Record<string, { readonly retryable: boolean; readonly v1: string }>;

/** Every code that a Hearth error can carry. */
export type ErrorCode = keyof typeof errorCatalogue;

/** The five codes that NDJSON v1 knows. */
export type V1ErrorCode = (typeof errorCatalogue)[ErrorCode]['v1'];

/** Every error code, in the order of the catalogue. */
export const errorCodes = Object.keys(errorCatalogue) as readonly ErrorCode[];

/** The code that a client of NDJSON v1 sees for `code`. */
export function toV1Code(code: ErrorCode): V1ErrorCode {
  return errorCatalogue[code].v1;
}

/**
 * A failure with a stable code. `message` is written for the person who reads it: what happened and what to
 * do next. It never holds prompt text, generated text, a file path or a tool argument.
 */
export class HearthError extends Error {
  override readonly name = 'HearthError';
  readonly code: ErrorCode;
  /** How long to wait before a retry, in milliseconds, where that is known. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryAfterMs?: number } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return errorCatalogue[this.code].retryable;
  }
}

/** `error` itself if it is a {@link HearthError}, else an `internal` one that has it as its cause. */
export function toHearthError(error: unknown): HearthError {
  if (error instanceof HearthError) return error;
  return new HearthError('internal', 'Hearth failed inside. The activity log has the time and the place.', {
    cause: error,
  });
}
