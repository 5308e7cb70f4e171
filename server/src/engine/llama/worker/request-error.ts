import type { RequestFailure } from './messages.js';

/** One request cannot be served; the worker and all other requests are well. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly kind: RequestFailure['kind'];

  constructor(kind: RequestFailure['kind'], message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.kind = kind;
  }
}

/** What of `error` may be told to others: a {@link RequestError} itself, of anything else only that it happened. */
export function toRequestFailure(error: unknown): RequestFailure {
  if (error instanceof RequestError) return { kind: error.kind, message: error.message };
  return {
    kind: 'internal',
    message: 'The engine failed while it worked on this request. Other requests go on.',
  };
}
