/**
 * Why another server gave no answer, or broke one off:
 *
 * - `refused`: nobody listens there, or the name does not resolve. The request was not sent.
 * - `connect_timeout`: no connection in time. The request was not sent.
 * - `headers_timeout`: the request was sent, and no answer began in time.
 * - `idle_timeout`: an answer began and fell silent.
 * - `broken`: the connection ended, or what came was no HTTP.
 * - `cancelled`: whoever asked gave up.
 */
export type UpstreamFailure =
  'refused' | 'connect_timeout' | 'headers_timeout' | 'idle_timeout' | 'broken' | 'cancelled';

/** A failure of the network between us and another server. The message names no address and holds no content. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly kind: UpstreamFailure;

  constructor(kind: UpstreamFailure, options: { cause?: unknown } = {}) {
    super(sentences[kind], options);
    this.kind = kind;
  }
}

const sentences: Record<UpstreamFailure, string> = {
  refused: 'the service refuses connections',
  connect_timeout: 'the service did not accept a connection in time',
  headers_timeout: 'the service did not begin to answer in time',
  idle_timeout: 'the service fell silent in the middle of its answer',
  broken: 'the connection to the service broke',
  cancelled: 'the request was cancelled',
};

/** What an error of the HTTP client means. */
export function upstreamErrorOf(error: unknown): UpstreamError {
  return error instanceof UpstreamError ? error : new UpstreamError(kindOf(error), { cause: error });
}

/** Whether `error` is what aborting `signal` does. */
export function isCancel(error: unknown, signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true && kindOf(error) === 'cancelled';
}

function kindOf(error: unknown): UpstreamFailure {
  if (!(error instanceof Error)) return 'broken';
  if (error.name === 'AbortError') return 'cancelled';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // Several addresses were tried, and each failed.
  if (error instanceof AggregateError && code === '') return kindOf(error.errors[0]);
  return kinds[code] ?? 'broken';
}

const kinds: Readonly<Record<string, UpstreamFailure>> = {
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'refused',
  EAI_AGAIN: 'refused',
  EHOSTUNREACH: 'refused',
  ENETUNREACH: 'refused',
  EADDRNOTAVAIL: 'refused',
  UND_ERR_CONNECT_TIMEOUT: 'connect_timeout',
  ETIMEDOUT: 'connect_timeout',
  UND_ERR_HEADERS_TIMEOUT: 'headers_timeout',
  UND_ERR_BODY_TIMEOUT: 'idle_timeout',
  UND_ERR_ABORTED: 'cancelled',
};
