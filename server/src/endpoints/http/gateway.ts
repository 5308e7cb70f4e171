import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Caller, DaemonApi } from '../../daemon-api.js';
import { checkToken, type Guard, hasBody, hostNames, requireJson, tokenCheck } from '../../http/guard.js';
import { HttpError } from '../../http/http-error.js';
import { RouteTable, splitTarget } from '../../http/routes.js';
import { type HttpLimits, serveHttp } from '../../http/serve-http.js';
import { parseTcpAddress, type ReachGuard } from '../../lock/bind-tcp.js';
import { toApiError } from './api-error.js';
import { BodyBudget } from './body-budget.js';
import { errorBodyFor, routes } from './dialects.js';
import type { ApiRoute, ExchangeSettings, MetricsText } from './exchange.js';

export interface GatewayOptions extends Pick<ReachGuard, 'allowNonLoopback'> {
  readonly daemon: DaemonApi;
  /** `host:port`; port 0: any free one. */
  readonly address: string;
  /** What clients must show. */
  readonly token: string;
  /** Names beside the address by which clients may call it. @default none */
  readonly hosts?: readonly string[];
  /** Origins of web pages that are let in. @default none */
  readonly origins?: readonly string[];
  /** Largest body in bytes. */
  readonly bodyLimit: number;
  readonly writeTimeoutMs: number;
  /** Undefined: none are kept. */
  readonly metrics?: MetricsText | undefined;
  readonly limits?: Partial<HttpLimits>;
  /** Tells that an exchange goes on until `done` resolves, so that the daemon stays for it. */
  readonly onExchange?: (done: Promise<void>) => void;
  /** A handler failed in a way of ours. */
  readonly onFault?: (error: unknown) => void;
  /** Somebody showed a wrong token, or none. */
  readonly onWrongToken?: (peer: string) => void;
  /** A request was turned away with this status, 400 to 499. */
  readonly onRefused?: (status: number) => void;
}

/** The gateway while it listens. */
export interface Gateway {
  /** Such as `http://127.0.0.1:47322`. */
  readonly url: string;
  /** Stops accepting at once and lets running exchanges end for `graceMs`. */
  close(graceMs?: number): Promise<void>;
}

/**
 * Serves the HTTP APIs that clients know: OpenAI's, Anthropic's, Ollama's and llama.cpp's.
 *
 * Before a route is looked for, Host, Origin and token are checked, on every path and method (S7 to S9).
 *
 * @throws StartupError where it cannot listen there.
 */
export async function serveGateway(options: GatewayOptions): Promise<Gateway> {
  const address = parseTcpAddress(options.address);
  const guard: Guard = {
    hosts: hostNames(address.host, options.hosts),
    origins: new Set(options.origins),
    token: tokenCheck(options.token),
  };
  const settings: ExchangeSettings = {
    bodyLimit: options.bodyLimit,
    bodies: new BodyBudget(4 * options.bodyLimit),
    writeTimeoutMs: options.writeTimeoutMs,
    metrics: options.metrics,
  };
  const serve = new Server(options, guard, settings);
  const server = await serveHttp({
    address,
    allowNonLoopback: options.allowNonLoopback ?? false,
    hasKey: true,
    guard,
    handler: serve.handle,
    errorBody: (error, request) => errorBodyFor(splitTarget(request.url ?? '/')[0])(error),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    ...(options.onFault === undefined ? {} : { onFault: options.onFault }),
    ...(options.onRefused === undefined ? {} : { onRefused: options.onRefused }),
  });
  return { url: server.url, close: (graceMs) => server.close(graceMs) };
}

/** What one gateway does with each request. */
class Server {
  readonly #options: GatewayOptions;
  readonly #guard: Guard;
  readonly #settings: ExchangeSettings;
  readonly #routes: RouteTable;
  readonly #open: ReadonlySet<string>;

  constructor(options: GatewayOptions, guard: Guard, settings: ExchangeSettings) {
    this.#options = options;
    this.#guard = guard;
    this.#settings = settings;
    this.#open = new Set(routes.flatMap(({ open, path }) => (open === true ? [path] : [])));
    this.#routes = new RouteTable(
      routes.map((route) => ({
        method: route.method,
        path: route.path,
        handle: ({ request, response, parameters }) => this.#exchange(route, request, response, parameters),
      })),
    );
  }

  readonly handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const isPreflight = this.#admitOrigin(request, response);
    if (isPreflight) return;
    const [path] = splitTarget(request.url ?? '/');
    // A stranger is not told which routes there are.
    if (!this.#open.has(path)) this.#checkToken(request);
    const found = this.#routes.find(request);
    if (found === undefined)
      throw new HttpError(404, 'There is no such route here. See the README for those that are.');
    const { route, parameters, query } = found;
    await route.handle({ request, response, parameters, query });
  };

  async #exchange(
    route: ApiRoute,
    request: IncomingMessage,
    response: ServerResponse,
    parameters: Readonly<Record<string, string>>,
  ): Promise<void> {
    if (route.method === 'POST' || hasBody(request)) requireJson(request);
    const gone = new AbortController();
    const over = new Promise<void>((resolve) => {
      response.once('close', () => {
        if (!response.writableFinished) gone.abort();
        resolve();
      });
    });
    this.#options.onExchange?.(over);
    try {
      const exchange = { request, response, parameters, signal: gone.signal, settings: this.#settings };
      await route.handle({
        ...exchange,
        daemon: this.#options.daemon,
        caller: callerOf(request, route.path),
      });
    } catch (error) {
      // Nobody is there to be told.
      if (gone.signal.aborted) return;
      throw this.#tellable(error);
    }
  }

  #tellable(error: unknown): HttpError {
    const told = toApiError(error);
    if (told.status === 500) this.#options.onFault?.(told.cause ?? told);
    return told;
  }

  #checkToken(request: IncomingMessage): void {
    // Anthropic's clients show it in a header of their own.
    const { 'x-api-key': key, authorization } = request.headers;
    if (authorization === undefined && typeof key === 'string' && this.#guard.token?.(key) === true) return;
    try {
      checkToken(request, this.#guard);
    } catch (error) {
      this.#options.onWrongToken?.(request.socket.remoteAddress ?? '');
      throw error;
    }
  }

  /** A page of a listed origin may read the answer. True: the request was its preflight, and is answered. */
  #admitOrigin(request: IncomingMessage, response: ServerResponse): boolean {
    const { origin } = request.headers;
    if (origin === undefined) return false;
    response.setHeader('Access-Control-Allow-Origin', origin);
    response.setHeader('Vary', 'Origin');
    if (request.method !== 'OPTIONS') return false;
    response.writeHead(204, {
      'Access-Control-Allow-Methods': 'GET, POST',
      'Access-Control-Allow-Headers': 'Authorization, Content-Type, X-Api-Key, Anthropic-Version',
      'Access-Control-Max-Age': '600',
    });
    response.end();
    return true;
  }
}

/**
 * Whose fair share a request counts against. The kernel does not say who is at the other end of TCP, so programs are
 * told apart by the name that they give themselves; all of them hold the token.
 */
function callerOf(request: IncomingMessage, route: string): Caller {
  const agent = request.headers['user-agent'] ?? '';
  return { name: 'http', client: `http:${agent.slice(0, 64)}`, route };
}
