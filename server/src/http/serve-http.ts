import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { bindTcp, type ReachGuard, type TcpAddress } from '../lock/bind-tcp.js';
import { checkFraming } from './framing.js';
import { checkAddressee, type Guard, hasBody } from './guard.js';
import { HttpError } from './http-error.js';
import { OpenExchanges } from './open-exchanges.js';

/** Answers one request. What it throws becomes the answer. */
export type HttpHandler = (request: IncomingMessage, response: ServerResponse) => Promise<void> | void;

/** Bounds of one HTTP server. Every one has a default, and none can be switched off. */
export interface HttpLimits {
  /** Bytes of request line and header fields together. @default 16384 */
  readonly headerBytes: number;
  /** Header fields of a request. @default 200 */
  readonly headerFields: number;
  /** Milliseconds for a request's head to arrive. @default 10 000 */
  readonly headersTimeoutMs: number;
  /** Milliseconds for a whole request to arrive. @default 120 000 */
  readonly requestTimeoutMs: number;
  /** Milliseconds that a connection may lie idle between requests. @default 30 000 */
  readonly keepAliveMs: number;
  /** Connections at once. @default 256 */
  readonly connections: number;
  /** Requests of one connection whose answers are to come; one more ends the connection. @default 32 */
  readonly pipelined: number;
}

export const defaultHttpLimits: HttpLimits = {
  headerBytes: 16_384,
  headerFields: 200,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 120_000,
  keepAliveMs: 30_000,
  connections: 256,
  pipelined: 32,
};

export interface ServeHttpOptions extends ReachGuard {
  readonly address: TcpAddress;
  /** May depend on the address that was bound. */
  readonly guard: Guard;
  readonly handler: HttpHandler;
  /** The body of an error answer. Default: `{"error": message}`. */
  readonly errorBody?: (error: HttpError, request: IncomingMessage) => unknown;
  readonly limits?: Partial<HttpLimits>;
  /** A handler failed in a way of ours. The client gets a 500 that says nothing of it. */
  readonly onFault?: (error: unknown) => void;
  /** A request was turned away with this status, 400 to 499: it was wrong, or not let in. */
  readonly onRefused?: (status: number) => void;
}

/** An HTTP server that listens. */
export interface HttpServer {
  readonly address: TcpAddress;
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /**
   * Stops accepting at once, lets running requests end for `graceMs`, then ends their connections. Calling it again
   * returns the same promise.
   */
  close(graceMs?: number): Promise<void>;
}

/**
 * Listens for HTTP/1.1. Host and origin are checked before the handler sees a request; heads and bodies are bounded in
 * bytes and in time; a request that is no HTTP gets a short error and the end of its connection.
 *
 * @throws StartupError where it cannot listen there.
 */
export async function serveHttp(options: ServeHttpOptions): Promise<HttpServer> {
  const limits = { ...defaultHttpLimits, ...options.limits };
  const http = createServer({
    maxHeaderSize: limits.headerBytes,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.max(100, Math.min(1000, limits.headersTimeoutMs / 4)),
    insecureHTTPParser: false,
    noDelay: true,
  });
  const open = new OpenExchanges(limits.pipelined);
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { socket } = request;
    // What came behind a request that ended its connection is still read, and answered by nobody.
    if (socket.destroyed || closing.has(socket)) return;
    if (open.add(socket, response)) void handle(options, limits, request, response);
    else {
      options.onRefused?.(429);
      socket.destroy();
    }
  };
  http.on('request', answer);
  // The body is asked for when a handler reads it, and not before: a refusal costs the client no upload.
  http.on('checkContinue', answer);
  http.on('checkExpectation', (_request, response: ServerResponse) => {
    sendError(
      response,
      new HttpError(417, 'Only "Expect: 100-continue" is understood.', { closes: true }),
      options,
    );
  });
  http.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // An answer that is under way goes out as far as it is; another one cannot stand behind it.
    if (open.hasBegun(socket)) {
      socket.destroySoon();
      setTimeout(() => socket.destroy(), 500).unref();
    } else refuseMalformed(error, socket, options.onRefused);
  });

  http.maxConnections = limits.connections;
  // Node leaves out in silence what is beyond, framing and Host too: one more than may be shows that there was too much.
  http.maxHeadersCount = limits.headerFields + 1;

  const sockets = new Set<Socket>();
  const bound = await bindTcp({
    ...options,
    server: http,
    onConnection: (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    },
  });
  const { host, family, port } = bound.address;
  let closed: Promise<void> | undefined;
  return {
    address: bound.address,
    url: `http://${family === 6 ? `[${host}]` : host}:${port}`,
    close: (graceMs = 0) => {
      closed ??= end(http, sockets, bound.close(), graceMs);
      return closed;
    },
  };
}

async function handle(
  options: ServeHttpOptions,
  { headerFields }: HttpLimits,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // A client that goes away ends its own exchange; that is no error of the server.
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  try {
    if (request.rawHeaders.length > 2 * headerFields)
      throw new HttpError(431, `Send at most ${headerFields} header fields.`, { closes: true });
    checkFraming(request);
    checkAddressee(request, options.guard);
    await options.handler(request, response);
  } catch (error) {
    if (error instanceof HttpError) {
      sendError(response, error, options);
      return;
    }
    options.onFault?.(error);
    sendError(
      response,
      new HttpError(500, 'Hearth failed inside. Its log has the time and the place.'),
      options,
    );
  }
}

/** Answers with an error, or breaks the connection off where an answer has begun: a cut stream must look cut. */
function sendError(
  response: ServerResponse,
  error: HttpError,
  { errorBody = plainErrorBody, onRefused }: Pick<ServeHttpOptions, 'errorBody' | 'onRefused'>,
): void {
  if (error.status < 500) onRefused?.(error.status);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const body = JSON.stringify(errorBody(error, response.req));
  // Nobody will read the rest of a body that was refused: it may be large, or never end.
  const closes = error.closes || (hasBody(response.req) && !response.req.complete);
  response.writeHead(error.status, {
    ...error.headers,
    ...jsonHead(body),
    ...(closes ? { Connection: 'close' } : {}),
  });
  if (closes) endAfter(response);
  response.end(body);
}

/** Connections that end with an answer which was given already. */
const closing = new WeakSet<Socket>();

/**
 * Ends the connection with this answer. What the client still sends is thrown away for a moment: if the connection were
 * closed with bytes unread, as Node would, the kernel would take the answer back from whoever has not read it yet.
 */
function endAfter({ req: request }: ServerResponse): void {
  const { socket } = request;
  closing.add(socket);
  socket.destroySoon = () => {
    socket.end();
    request.resume();
    setTimeout(() => socket.destroy(), 500).unref();
  };
}

/** Answers with JSON. */
export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  const body = JSON.stringify(value);
  response.writeHead(status, jsonHead(body));
  response.end(body);
}

function jsonHead(body: string): Record<string, string | number> {
  return {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store',
  };
}

function plainErrorBody(error: HttpError): unknown {
  return { error: error.message };
}

/** What Node's parser refuses: smuggling, bare line feeds, oversized heads, heads that never end. */
function refuseMalformed(
  error: NodeJS.ErrnoException,
  socket: Socket,
  onRefused: ServeHttpOptions['onRefused'],
): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, reason, message] = malformed[error.code ?? ''] ?? notHttp;
  onRefused?.(status);
  socket.end(rawAnswer(status, reason, message));
  setTimeout(() => socket.destroy(), 500).unref();
}

type Refusal = readonly [status: number, reason: string, message: string];

const notHttp: Refusal = [400, 'Bad Request', 'This is not HTTP/1.1 as RFC 9112 has it.'];
const malformed: Readonly<Record<string, Refusal>> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'The header fields are too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'The request took too long to arrive.'],
};

function rawAnswer(status: number, reason: string, message: string): string {
  const body = JSON.stringify({ error: message });
  return (
    `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

async function end(
  http: Server,
  sockets: ReadonlySet<Socket>,
  unbound: Promise<void>,
  graceMs: number,
): Promise<void> {
  // Running requests end their connection with their answer; idle ones end now.
  http.keepAliveTimeout = 1;
  http.closeIdleConnections();
  const timer = setTimeout(() => {
    for (const socket of sockets) socket.destroy();
  }, graceMs);
  await unbound;
  clearTimeout(timer);
}
