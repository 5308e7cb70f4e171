import type { IncomingMessage, ServerResponse } from 'node:http';
import type { z } from 'zod';
import { checkToken, type Guard, hostNames, refuseSimpleTypes, tokenCheck } from '../http/guard.js';
import { HttpError } from '../http/http-error.js';
import { parseJsonBody, readBody } from '../http/read-body.js';
import { type HttpRoute, type RoutedRequest, RouteTable } from '../http/routes.js';
import { type HttpServer, sendJson, serveHttp } from '../http/serve-http.js';
import type { TcpAddress } from '../lock/bind-tcp.js';
import { probe } from '../upstream/probe.js';
import { Upstream } from '../upstream/upstream.js';
import { Registry, RegistryFull } from './registry.js';
import {
  heartbeatSchema,
  isLocalUrl,
  registrationSchema,
  type ServiceRecord,
  updateSchema,
} from './service-record.js';

/** Bytes of one registration: a thousand models with their details. */
const bodyBytes = 1024 * 1024;
/** Longest that a reader may wait for a change, in milliseconds. */
const longestWaitMs = 60_000;
/** Readers that wait at once. */
const mostWaiting = 64;

export interface RegistryServerOptions {
  readonly address: TcpAddress;
  /** Who wants to change the list must show it; with it, services elsewhere may register. */
  readonly token?: string | undefined;
  /** Seconds between two probes of each service. @default 30 */
  readonly healthIntervalSecs?: number;
  /** Seconds that a probe may take. @default 5 */
  readonly healthTimeoutSecs?: number;
  /** Seconds between two sweeps. @default 60 */
  readonly cleanupIntervalSecs?: number;
  readonly onFault?: (error: unknown) => void;
}

/** A registry that is served over HTTP. */
export interface RegistryServer {
  readonly registry: Registry;
  readonly http: HttpServer;
  close(): Promise<void>;
}

/**
 * The registry of behaviours.md 3.2 (rows 123 to 126) with its timers: expiry, sweeps and probes.
 *
 * One addition: a reader that sends `after=REVISION` to `/services` gets its answer when the list is no longer what it
 * was at that revision, or after `wait` seconds, so that nobody has to ask again and again.
 */
export async function serveRegistry(options: RegistryServerOptions): Promise<RegistryServer> {
  const service = new RegistryService(options);
  const { address, token } = options;
  const guard: Guard = {
    hosts: hostNames(address.host),
    origins: new Set(),
    token: token === undefined ? undefined : tokenCheck(token),
  };
  const routes = new RouteTable(service.routes(guard));
  const http = await serveHttp({
    address,
    guard,
    allowNonLoopback: token !== undefined,
    hasKey: token !== undefined,
    ...(options.onFault === undefined ? {} : { onFault: options.onFault }),
    handler: async (request, response) => {
      const found = routes.find(request);
      if (found === undefined) throw new HttpError(404, 'There is nothing here.');
      await found.route.handle({ request, response, ...found });
    },
  });
  service.start();
  return {
    registry: service.registry,
    http,
    close: async () => {
      await service.stop();
      await http.close(1000);
    },
  };
}

class RegistryService {
  readonly registry: Registry;
  readonly #options: RegistryServerOptions;
  readonly #upstream = new Upstream({ connectMs: 2000 });
  readonly #stopping = new AbortController();
  readonly #timers = new Set<NodeJS.Timeout>();
  #expiry: NodeJS.Timeout | undefined;
  #waiting = new Set<() => void>();

  constructor(options: RegistryServerOptions) {
    this.#options = options;
    const clock = { monotonic: () => performance.now(), wall: () => Date.now() };
    this.registry = new Registry(clock, undefined, () => {
      this.#wake();
      this.#watchExpiry();
    });
  }

  routes(guard: Guard): readonly HttpRoute[] {
    /** Changes need the token where there is one. */
    const guarded = (handle: HttpRoute['handle']): HttpRoute['handle'] => {
      return (routed) => {
        checkToken(routed.request, guard);
        refuseSimpleTypes(routed.request);
        return handle(routed);
      };
    };
    const one = '/services/:name';
    return [
      { method: 'GET', path: '/health', handle: ({ response }) => sendJson(response, 200, this.#health()) },
      { method: 'GET', path: '/stats', handle: ({ response }) => sendJson(response, 200, this.#stats()) },
      { method: 'GET', path: '/services', handle: (routed) => this.#list(routed) },
      { method: 'POST', path: '/services', handle: guarded((routed) => this.#register(routed)) },
      { method: 'GET', path: one, handle: (routed) => sendJson(routed.response, 200, this.#found(routed)) },
      { method: 'PUT', path: one, handle: guarded((routed) => this.#update(routed)) },
      { method: 'DELETE', path: one, handle: guarded((routed) => this.#remove(routed)) },
      { method: 'GET', path: `${one}/health`, handle: (routed) => this.#serviceHealth(routed) },
      { method: 'POST', path: `${one}/heartbeat`, handle: guarded((routed) => this.#heartbeat(routed)) },
    ];
  }

  start(): void {
    const { cleanupIntervalSecs = 60, healthIntervalSecs = 30 } = this.#options;
    this.#timers.add(setInterval(() => this.registry.sweep(), cleanupIntervalSecs * 1000));
    this.#timers.add(setInterval(() => void this.#probeAll(), healthIntervalSecs * 1000));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#expiry);
    this.#wake();
    await this.#upstream.close();
  }

  #health(): unknown {
    const { total_services: total, healthy_services: healthy } = this.registry.stats();
    return {
      status: 'healthy',
      registry: 'running',
      registered_services: total,
      healthy_services: healthy,
      timestamp: timestamp(),
    };
  }

  #stats(): unknown {
    return { ...this.registry.stats(), timestamp: timestamp() };
  }

  async #list({ response, query }: RoutedRequest): Promise<void> {
    await this.#untilAfter(query, response);
    const status = query.get('status');
    const healthy = query.get('healthy');
    const services = this.registry.list({
      ...(status === null ? {} : { status }),
      ...(healthy === null ? {} : { healthy: healthy.toLowerCase() === 'true' }),
    });
    const { revision } = this.registry;
    sendJson(response, 200, { services, total: services.length, timestamp: timestamp(), revision });
  }

  async #register({ request, response }: RoutedRequest): Promise<void> {
    const registration = await readChecked(request, response, registrationSchema);
    this.#checkReach(registration.url);
    try {
      const service = this.registry.register(registration);
      void this.#welcome(service);
      sendJson(response, 201, { message: `Service '${service.name}' registered successfully`, service });
    } catch (error) {
      if (!(error instanceof RegistryFull)) throw error;
      throw new HttpError(503, 'The registry is full. Remove services that are gone.', { cause: error });
    }
  }

  async #update(routed: RoutedRequest): Promise<void> {
    const { name } = this.#found(routed);
    const update = await readChecked(routed.request, routed.response, updateSchema);
    if (update.url !== undefined) this.#checkReach(update.url);
    const service = this.registry.update(name, update);
    if (service === undefined) throw unknownService();
    if (update.url !== undefined) void this.#welcome(service);
    sendJson(routed.response, 200, { message: `Service '${name}' updated successfully`, service });
  }

  #remove(routed: RoutedRequest): void {
    const { name } = this.#found(routed);
    this.registry.remove(name);
    sendJson(routed.response, 200, { message: `Service '${name}' unregistered successfully` });
  }

  async #heartbeat(routed: RoutedRequest): Promise<void> {
    const { name } = this.#found(routed);
    const { status } = await readChecked(routed.request, routed.response, heartbeatSchema, {});
    if (!this.registry.heartbeat(name, status)) throw unknownService();
    const record = this.#found(routed);
    // It lives, and was found dead: look again now.
    if (record.health_status === 'unhealthy') void this.#probeOne(record);
    sendJson(routed.response, 200, { message: 'Heartbeat received', timestamp: timestamp() });
  }

  /** Probes now, and counts an answer as a sign of life. */
  async #serviceHealth(routed: RoutedRequest): Promise<void> {
    await this.#probeOne(this.#found(routed), true);
    const { name, health_status, is_healthy, last_heartbeat } = this.#found(routed);
    sendJson(routed.response, 200, {
      service: name,
      health_status,
      is_healthy,
      last_heartbeat,
      timestamp: timestamp(),
    });
  }

  #found({ parameters }: RoutedRequest): ServiceRecord {
    const record = this.registry.get(parameters['name'] ?? '');
    if (record === undefined) throw unknownService();
    return record;
  }

  /** Prompts go where a service says that it is: without a token, that is this machine. */
  #checkReach(url: string): void {
    if (this.#options.token !== undefined || isLocalUrl(url)) return;
    throw new HttpError(
      403,
      'url: only services of this machine may register, unless the registry is started with --token-env.',
    );
  }

  async #probeAll(): Promise<void> {
    // All at once, each with its own time: one that hangs keeps no other waiting.
    await Promise.all(this.registry.list().map((record) => this.#probeOne(record)));
  }

  async #probeOne({ name, url }: ServiceRecord, isSignOfLife = false): Promise<void> {
    const health = await this.#probe(url);
    if (health !== undefined) this.registry.probed(name, url, health, isSignOfLife);
  }

  /** Probes who has just come. Many register a moment before they listen, so only good news counts. */
  async #welcome({ name, url }: ServiceRecord): Promise<void> {
    if ((await this.#probe(url)) === 'healthy') this.registry.probed(name, url, 'healthy');
  }

  /** Undefined: the registry is ending. */
  async #probe(url: string): Promise<'healthy' | 'unhealthy' | undefined> {
    const within = (this.#options.healthTimeoutSecs ?? 5) * 1000;
    const { kind } = await probe(this.#upstream, url, { within, signal: this.#stopping.signal });
    if (this.#stopping.signal.aborted) return undefined;
    return kind === 'healthy' ? 'healthy' : 'unhealthy';
  }

  /** Waits until the list is another than at the revision that the reader knows, where it names one. */
  async #untilAfter(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const after = query.get('after');
    if (after === null || Number(after) !== this.registry.revision) return;
    if (this.#waiting.size >= mostWaiting || this.#stopping.signal.aborted) return;
    const seconds = Number(query.get('wait') ?? 30);
    const waitMs = Number.isFinite(seconds) ? Math.min(Math.max(seconds * 1000, 0), longestWaitMs) : 0;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        response.off('close', done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      this.#waiting.add(done);
      response.once('close', done);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** One timer, for the next service that time alone will make unhealthy. */
  #watchExpiry(): void {
    clearTimeout(this.#expiry);
    const wait = this.registry.untilNextExpiry();
    if (wait === undefined || this.#stopping.signal.aborted) return;
    this.#expiry = setTimeout(() => {
      this.registry.noticeTime();
      this.#watchExpiry();
    }, wait + 1);
  }
}

/** Reads and checks a body. @throws HttpError 400 that names each wrong field. */
async function readChecked<Schema extends z.ZodType>(
  request: IncomingMessage,
  response: ServerResponse,
  schema: Schema,
  absent?: unknown,
): Promise<z.output<Schema>> {
  const body = await readBody(request, response, bodyBytes);
  const value = body.length === 0 && absent !== undefined ? absent : parseJsonBody(body);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues
    .slice(0, 8)
    .map(({ path, message }) => (path.length === 0 ? message : `${path.map(String).join('.')}: ${message}`));
  throw new HttpError(400, issues.join('; '));
}

function unknownService(): HttpError {
  return new HttpError(404, 'There is no service with that name.');
}

function timestamp(): string {
  return new Date().toISOString();
}
