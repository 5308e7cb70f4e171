import type { OutgoingHttpHeaders } from 'node:http';

/**
 * A request that is answered with an error status. `message` goes to the client: it says what to do, and holds no
 * content, no path and no secret.
 */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  /** 400 to 599. */
  readonly status: number;
  /** Sent with the answer, such as `Retry-After` or `Allow`. */
  readonly headers: OutgoingHttpHeaders;
  /** Whether what is left of the request is not worth reading: the connection ends with the answer. */
  readonly closes: boolean;

  constructor(
    status: number,
    message: string,
    options: { cause?: unknown; headers?: OutgoingHttpHeaders; closes?: boolean } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.status = status;
    this.headers = options.headers ?? {};
    this.closes = options.closes ?? false;
  }
}
