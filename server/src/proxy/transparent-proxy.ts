import type { HttpHandler } from '../http/serve-http.js';
import { HttpError } from '../http/http-error.js';
import { refuseSimpleTypes } from '../http/guard.js';
import { readBody } from '../http/read-body.js';
import { sendJson } from '../http/serve-http.js';
import { splitTarget } from '../http/routes.js';
import type { Upstream } from '../upstream/upstream.js';
import { gatewayError, passOn } from './relay.js';

export interface TransparentProxyOptions {
  readonly upstream: Upstream;
  /** Base URL of the one service behind it. */
  readonly url: string;
  /** Largest body, in bytes. @default 33 554 432 */
  readonly bodyLimit: number;
  /** To the head of an answer, and for silence within it, in milliseconds. @default 120 000 */
  readonly timeoutMs: number;
  /** What `/health` answers: a status, and what is known. */
  readonly health: () => { readonly status: number; readonly body: unknown };
}

/**
 * Passes on `/v1/…` to one service and changes nothing (rows 105 to 109; behaviours.md 2.3). `/health` is its own; there
 * is nothing else, no metrics among it (row 111).
 */
export function transparentProxy(options: TransparentProxyOptions): HttpHandler {
  const { upstream, url, bodyLimit, timeoutMs } = options;
  return async (request, response) => {
    const [path] = splitTarget(request.url ?? '/');
    if (path === '/health') {
      if (request.method !== 'GET' && request.method !== 'HEAD')
        throw new HttpError(405, 'Use GET here.', { headers: { Allow: 'GET' } });
      const { status, body } = options.health();
      sendJson(response, status, body);
      return;
    }
    if (!path.startsWith('/v1/') || path.split('/').includes('..'))
      throw new HttpError(404, 'There is nothing here.');
    refuseSimpleTypes(request);
    const body = await readBody(request, response, bodyLimit);
    const passed = await passOn(request, response, {
      upstream,
      url,
      body,
      headersMs: timeoutMs,
      idleMs: timeoutMs,
    });
    if (passed.kind === 'failed' && passed.error.kind !== 'cancelled') throw gatewayError(passed.error);
  };
}
