import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { endToEndHeaders, headerValues } from '../http/header-rules.js';
import { HttpError } from '../http/http-error.js';
import type { Upstream, UpstreamResponse } from '../upstream/upstream.js';
import { type UpstreamError, upstreamErrorOf } from '../upstream/upstream-error.js';

/** How passing on an answer ended, once its head had been passed on. */
export type RelayEnd = 'complete' | 'client_gone' | 'broken' | 'idle_timeout';

/** Where a request goes on to. */
export interface Onward {
  readonly upstream: Upstream;
  /** Base URL of the service; its path comes before that of the request. */
  readonly url: string;
  /** Bytes as they came. */
  readonly body: Buffer;
  readonly signal: AbortSignal;
  /** Header fields that go no further, in lower case. */
  readonly dropped?: ReadonlySet<string>;
  /** To the head of the answer, in milliseconds. */
  readonly headersMs?: number;
  /** Between two pieces of the answer, in milliseconds. */
  readonly idleMs?: number;
}

/**
 * Sends a request on as it came: method, path, end-to-end fields and every byte of the body (rows 105, 137).
 *
 * @throws UpstreamError before the head of the answer.
 */
export function sendOn(request: IncomingMessage, onward: Onward): Promise<UpstreamResponse> {
  const { origin, pathname } = new URL(onward.url);
  const hasBody = onward.body.length > 0;
  return onward.upstream.ask({
    method: request.method ?? 'GET',
    origin,
    path: `${pathname.replace(/\/+$/, '')}${request.url ?? '/'}`,
    headers: endToEndHeaders(request.rawHeaders, onward.dropped),
    ...(hasBody ? { body: onward.body } : {}),
    signal: onward.signal,
    headersMs: onward.headersMs,
    idleMs: onward.idleMs,
  });
}

/**
 * Passes an answer back as it comes: its true status, its end-to-end fields, and every byte of its body at the
 * client's pace (rows 105, 106). An answer that breaks off is broken off, so that no client takes it for whole.
 *
 * @param added Further fields, name and value by turns.
 */
export async function passBack(
  answer: UpstreamResponse,
  response: ServerResponse,
  added: readonly string[] = [],
): Promise<RelayEnd> {
  const [length] = headerValues(answer.headers, 'content-length');
  response.writeHead(answer.status, [
    ...endToEndHeaders(answer.headers),
    ...(length === undefined ? [] : ['Content-Length', length]),
    ...added,
  ]);
  // A stream's head goes out before its first event.
  if (length === undefined) response.flushHeaders();
  try {
    await pipeline(answer.body, response);
    return 'complete';
  } catch (error) {
    if (upstreamErrorOf(error).kind === 'idle_timeout') return 'idle_timeout';
    return isClientGone(error) ? 'client_gone' : 'broken';
  }
}

/** Aborted when the client goes away before it has its answer. */
export function whileConnected(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  return gone.signal;
}

/** What a client is told of a failure of the network behind us (rows 107, 109, 136). */
export function gatewayError({ kind, message }: UpstreamError): HttpError {
  switch (kind) {
    case 'connect_timeout':
    case 'headers_timeout':
    case 'idle_timeout':
      return new HttpError(504, `Gateway timeout: ${message}.`);
    case 'refused':
      return new HttpError(503, `Service unavailable: ${message}.`, { headers: { 'Retry-After': '1' } });
    case 'broken':
    case 'cancelled':
      return new HttpError(502, `Bad gateway: ${message}.`);
  }
}

function isClientGone(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? error.code : undefined;
  return (
    error.name === 'AbortError' ||
    code === 'ERR_STREAM_PREMATURE_CLOSE' ||
    code === 'UND_ERR_ABORTED' ||
    code === 'EPIPE' ||
    (code === 'ECONNRESET' && 'syscall' in error && error.syscall === 'write')
  );
}
