import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { headerValues } from './header-rules.js';
import { HttpError } from './http-error.js';

/**
 * Who may speak to an HTTP server of ours. Checked for every route and method, before routing: a web page that the
 * person visits can send requests to loopback, and a name of its own can resolve to 127.0.0.1.
 */
export interface Guard {
  /** Names and address literals that `Host` may hold, without port; IPv6 in brackets. */
  readonly hosts: ReadonlySet<string>;
  /** Origins of web pages that are let in, as browsers write them. Others, and `null`, are refused. */
  readonly origins: ReadonlySet<string>;
  /** Undefined: no token is asked for. */
  readonly token: TokenCheck | undefined;
}

/** Whether a bearer token is the right one. */
export type TokenCheck = (token: string) => boolean;

/** Compares in constant time, by digests of one length, so that not even the token's length is told. */
export function tokenCheck(secret: string): TokenCheck {
  const expected = digest(secret);
  return (token) => timingSafeEqual(digest(token), expected);
}

/** The names by which a server that listens on `host`, an IP literal, may be called. */
export function hostNames(host: string, more: readonly string[] = []): ReadonlySet<string> {
  const literal = host.includes(':') ? `[${host}]` : host;
  const isLoopback = host === '::1' || host.startsWith('127.');
  return new Set([literal, ...(isLoopback ? ['localhost'] : []), ...more]);
}

/**
 * Checks where the request says that it goes and where it says that it comes from.
 *
 * @throws HttpError 400 for a request line or a `Host` that is no plain one, 403 for a wrong host or origin.
 */
export function checkAddressee(request: IncomingMessage, guard: Guard): void {
  const target = request.url ?? '';
  if (!target.startsWith('/') && target !== '*') {
    throw new HttpError(400, 'Write the path alone in the request line, such as /health.', { closes: true });
  }
  const hosts = headerValues(request.rawHeaders, 'host');
  const [host = ''] = hosts;
  if (hosts.length !== 1) throw new HttpError(400, 'Send exactly one Host header.', { closes: true });
  const name = /^(\[[0-9a-f:.]+\]|[^:[\]]+)(?::\d{1,5})?$/.exec(host)?.[1];
  if (name === undefined || !guard.hosts.has(name)) {
    throw new HttpError(
      403,
      `This server does not answer to that Host. Call it ${[...guard.hosts].join(' or ')}.`,
      {
        closes: true,
      },
    );
  }
  checkOrigin(request, guard);
}

/**
 * Web pages are refused unless listed. A browser says by `Origin`, by `Sec-Fetch-Site` or at least by `Referer` that a
 * page sent the request; other clients send none of them.
 */
function checkOrigin(request: IncomingMessage, guard: Guard): void {
  const { origin, referer } = request.headers;
  const site = request.headers['sec-fetch-site'];
  if (origin !== undefined) {
    if (guard.origins.has(origin) && headerValues(request.rawHeaders, 'origin').length === 1) return;
    throw foreign();
  }
  if (site !== undefined && site !== 'none' && site !== 'same-origin') throw foreign();
  if (referer === undefined) return;
  const from = URL.canParse(referer) ? new URL(referer).origin : undefined;
  if (from === undefined || !guard.origins.has(from)) throw foreign();
}

/** Checks the bearer token, where one is asked for. Two are none: another reader might take the other. @throws HttpError 401 */
export function checkToken(request: IncomingMessage, guard: Guard): void {
  if (guard.token === undefined) return;
  const shown = headerValues(request.rawHeaders, 'authorization');
  const given = shown.length === 1 ? /^Bearer ([\x21-\x7e]+)$/i.exec(shown[0] ?? '')?.[1] : undefined;
  if (given !== undefined && guard.token(given)) return;
  throw new HttpError(401, 'Send the token of this server as "Authorization: Bearer …".', {
    headers: { 'WWW-Authenticate': 'Bearer' },
  });
}

/**
 * Refuses bodies of the types that a web page can send without being asked first, and bodies that name no type.
 *
 * @throws HttpError 415
 */
export function refuseSimpleTypes(request: IncomingMessage): void {
  if (!hasBody(request)) return;
  const type = mediaType(request);
  if (type !== '' && !simpleTypes.has(type)) return;
  throw new HttpError(415, 'Send the body with "Content-Type: application/json".', { closes: true });
}

/** Lets only JSON through. @throws HttpError 415 */
export function requireJson(request: IncomingMessage): void {
  if (!hasBody(request) || mediaType(request) === 'application/json') return;
  throw new HttpError(415, 'Send the body with "Content-Type: application/json".', { closes: true });
}

/** Whether a body follows the head of the request. */
export function hasBody(request: IncomingMessage): boolean {
  const length = request.headers['content-length'];
  return request.headers['transfer-encoding'] !== undefined || (length !== undefined && Number(length) > 0);
}

function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type']?.split(';', 1)[0] ?? '').trim().toLowerCase();
}

const simpleTypes = new Set(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']);

function foreign(): HttpError {
  return new HttpError(403, 'Web pages may not use this server, unless their origin is listed.', {
    closes: true,
  });
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
