import type { IncomingMessage, ServerResponse } from 'node:http';
import { endToEndHeaders, headerValues } from '../http/header-rules.js';
import { HttpError } from '../http/http-error.js';
import type { Upstream } from '../upstream/upstream.js';
import type { UpstreamError } from '../upstream/upstream-error.js';

/** How passing on an answer ended, once its head had been passed on. */
export type RelayEnd = 'complete' | 'client_gone' | 'broken' | 'idle_timeout';

/** Where a request goes on to. */
export interface Onward {
  readonly upstream: Upstream;
  /** Base URL of the service; its path comes before that of the request. */
  readonly url: string;
  /** Bytes as they came. */
  readonly body: Buffer;
  /** Header fields that go no further, in lower case. */
  readonly dropped?: ReadonlySet<string>;
  /** To the head of the answer, in milliseconds. */
  readonly headersMs?: number;
  /** Between two pieces of the answer, in milliseconds. */
  readonly idleMs?: number;
}

/** What became of a request that was sent on. */
export type Passed =
  /** Nothing of an answer came, and nothing was sent to the client. */
  | { readonly kind: 'failed'; readonly error: UpstreamError }
  | { readonly kind: 'answered'; readonly status: number; readonly end: RelayEnd };

/**
 * Sends a request on as it came, and its answer back as it comes (rows 105, 106, 137): method, path, end-to-end fields,
 * true status, and every byte at the pace of whoever reads it. An answer that breaks off is broken off, so that no
 * client takes it for whole. A client that leaves ends the request.
 *
 * @param onHead Called when an answer begins; gives further fields for it, name and value by turns.
 */
export function passOn(
  request: IncomingMessage,
  response: ServerResponse,
  onward: Onward,
  onHead: (status: number) => readonly string[] = () => [],
): Promise<Passed> {
  return new Promise((resolve) => {
    const { origin, prefix } = placeOf(onward.url);
    let status: number | undefined;
    let isGone = false;
    const finish = (passed: Passed): void => {
      response.off('close', onClose);
      resolve(passed);
    };
    const cancel = onward.upstream.pass(
      {
        method: request.method ?? 'GET',
        origin,
        path: `${prefix}${request.url ?? '/'}`,
        headers: endToEndHeaders(request.rawHeaders, onward.dropped),
        ...(onward.body.length > 0 ? { body: onward.body } : {}),
        headersMs: onward.headersMs,
        idleMs: onward.idleMs,
      },
      {
        head: (answered, headers) => {
          status = answered;
          const [length] = headerValues(headers, 'content-length');
          response.writeHead(answered, [
            ...endToEndHeaders(headers),
            ...(length === undefined ? [] : ['Content-Length', length]),
            ...onHead(answered),
          ]);
          // A stream's head goes out before its first event.
          if (length === undefined) response.flushHeaders();
        },
        data: (chunk) => response.write(chunk),
        whenReady: (resume) => response.once('drain', resume),
        end: () => {
          response.end();
          if (status !== undefined) finish({ kind: 'answered', status, end: 'complete' });
        },
        fail: (error) => {
          if (status === undefined) {
            finish({ kind: 'failed', error });
            return;
          }
          response.destroy();
          const broken = error.kind === 'idle_timeout' ? 'idle_timeout' : 'broken';
          finish({ kind: 'answered', status, end: isGone ? 'client_gone' : broken });
        },
      },
    );
    const onClose = (): void => {
      isGone = true;
      cancel();
    };
    response.once('close', onClose);
    if (response.destroyed) onClose();
  });
}

/** Origin and path of a service's base URL. The same few are asked for again and again. */
function placeOf(url: string): { readonly origin: string; readonly prefix: string } {
  const known = places.get(url);
  if (known !== undefined) return known;
  const { origin, pathname } = new URL(url);
  const place = { origin, prefix: pathname.replace(/\/+$/, '') };
  if (places.size >= mostPlaces) places.clear();
  places.set(url, place);
  return place;
}

const places = new Map<string, { readonly origin: string; readonly prefix: string }>();
const mostPlaces = 1024;

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
