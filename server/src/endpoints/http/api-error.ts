import { type ErrorCode, type HearthError, toHearthError } from '@hearth/protocol';
import { HttpError } from '../../http/http-error.js';
import { httpStatusOf } from '../../http/status-of.js';
import { UpstreamError, type UpstreamFailure } from '../../upstream/upstream-error.js';

/** An error as one of the HTTP APIs tells it: a status, a code of ours, and the field that was wrong where one was. */
export class ApiError extends HttpError {
  readonly code: ErrorCode;
  /** Path of the field, such as `messages.0.content`; undefined: it is not about one field. */
  readonly field: string | undefined;

  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    options: ConstructorParameters<typeof HttpError>[2] & { field?: string | undefined } = {},
  ) {
    super(status, message, options);
    this.code = code;
    this.field = options.field;
  }
}

/** A request that is wrong in one field, or as a whole. */
export function invalidRequest(message: string, field?: string): ApiError {
  return new ApiError(400, 'invalid_request', message, { field });
}

/** A request for something that this server does not do. Nothing is left out in silence. */
export function unsupported(field: string, hint = 'Leave it out.'): ApiError {
  return new ApiError(400, 'unsupported_parameter', `${field} is not supported here. ${hint}`, { field });
}

/** When to ask again where nothing was measured yet, in milliseconds. */
const unmeasuredMs = 1000;

/** What an HTTP client is told of `error`. 429 and 503 say when to ask again, from the measured pace where there is one. */
export function toApiError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  const known = toHearthError(error);
  const status = isTimeout(known) ? 504 : httpStatusOf(known.code);
  return new ApiError(status, known.code, known.message, {
    cause: known,
    headers: status === 429 || status === 503 ? retryHeaders(known.retryAfterMs ?? unmeasuredMs) : {},
  });
}

/** Whether it comes from a service elsewhere that did not answer in time (row 107). */
function isTimeout(error: HearthError): boolean {
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof UpstreamError) return timeouts.has(cause.kind);
  }
  return false;
}

const timeouts: ReadonlySet<UpstreamFailure> = new Set([
  'connect_timeout',
  'headers_timeout',
  'idle_timeout',
]);

/** `Retry-After` in whole seconds, and the same in milliseconds, which the clients of OpenAI and Anthropic read. */
export function retryHeaders(milliseconds: number): Record<string, string> {
  return {
    'Retry-After': String(Math.max(1, Math.ceil(milliseconds / 1000))),
    'Retry-After-Ms': String(Math.max(1, Math.round(milliseconds))),
  };
}

/** The code of any error that a server of ours answers with. */
export function codeOf(error: HttpError): ErrorCode {
  if (error instanceof ApiError) return error.code;
  return codesByStatus[error.status] ?? (error.status < 500 ? 'invalid_request' : 'internal');
}

const codesByStatus: Readonly<Record<number, ErrorCode>> = {
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'not_found',
  413: 'frame_too_large',
  429: 'limit_exceeded',
  503: 'backend_unavailable',
  504: 'backend_unavailable',
};
