import { setTimeout as delay } from 'node:timers/promises';
import { type Guard, hostNames } from '../http/guard.js';
import { HttpError } from '../http/http-error.js';
import { type HttpRoute, RouteTable } from '../http/routes.js';
import { type HttpServer, sendJson, serveHttp } from '../http/serve-http.js';
import { parseTcpAddress } from '../lock/bind-tcp.js';
import { StartupError } from '../lock/startup-error.js';
import { transparentProxy } from '../proxy/transparent-proxy.js';
import { RegistryClient } from '../registry/registry-client.js';
import { askSmall, jsonOf } from '../upstream/read-answer.js';
import { Upstream } from '../upstream/upstream.js';
import { backendCommand } from './backend-command.js';
import type { BabysitterConfig } from './babysitter-config.js';
import { startChildGroup } from './child-group.js';
import { fetchModels, isReady, originOf, takesConnections, untilReady } from './readiness.js';
import { Registrar } from './registrar.js';
import { defaultRestartOptions, fixedRestarts, type RestartOptions } from './restart-policy.js';
import { defaultSupervisorOptions, type ServiceState, Supervisor } from './supervisor.js';

export interface BabysitterOptions {
  readonly config: BabysitterConfig;
  readonly env: NodeJS.ProcessEnv;
  /** The token that the registry asks for. */
  readonly registryToken?: string | undefined;
  /** Where the service's output goes. */
  readonly output: 'inherit' | 'ignore';
  /** What becomes of the service, for whoever watches. */
  readonly onState?: (state: ServiceState) => void;
  readonly onFault?: (error: unknown) => void;
}

/** Between two looks at a service that runs (behaviours.md 3.3), and how long it has to answer. */
const answerMs = 2000;

/**
 * Looks after one service (rows 112 to 122, 127): runs it, answers for it on the port after its own, and keeps it on
 * the registry's list, as itself and as its service.
 */
export class Babysitter {
  readonly #options: BabysitterOptions;
  readonly #config: BabysitterConfig;
  readonly #upstream = new Upstream({ connectMs: 2000 });
  readonly #supervisor: Supervisor;
  readonly #registrar: Registrar | undefined;
  readonly #startedAt = performance.now();
  readonly #stopping = new AbortController();
  #http: HttpServer | undefined;
  #proxy: { readonly http: HttpServer; readonly upstream: Upstream } | undefined;
  /** Whether the port after the service's was lent to the service itself. */
  #lent: 'never' | 'now' | 'done' = 'never';
  #wasReady = false;
  /** The first model that the service listed. */
  #firstModel: string | undefined;

  /** @throws StartupError `config`, `bad_address` */
  constructor(options: BabysitterOptions) {
    this.#options = options;
    const { config } = options;
    this.#config = config;
    const command = backendCommand(config, options.env);
    const place = this.#place;
    const { startup_timeout_secs } = config.babysitter;
    this.#supervisor = new Supervisor(
      {
        start: async () => {
          // Whoever listens there would be taken for the service.
          if (await takesConnections(place, 200))
            throw new Error(`port ${place.port} is taken by another process`);
          return startChildGroup(command, options.output);
        },
        untilReady: (signal) => untilReady(() => isReady(this.#upstream, place, signal), signal),
        answers: (signal) => this.#answers(signal),
        delay: (ms, signal) => delay(ms, undefined, { signal }).catch(() => undefined),
        now: () => performance.now(),
      },
      {
        ...defaultSupervisorOptions,
        restarts: restartsOf(config),
        startupMs: startup_timeout_secs * 1000,
      },
    );
    this.#supervisor.events.on('state', (state) => {
      options.onState?.(state);
      this.#follow(state);
    });
    if (config.registry_url === undefined) return;
    const client = new RegistryClient(this.#upstream, config.registry_url, options.registryToken);
    this.#registrar = new Registrar(client, config.babysitter.heartbeat_interval * 1000);
  }

  get state(): ServiceState {
    return this.#supervisor.state;
  }

  /** Process id of the service while it runs. */
  get servicePid(): number | undefined {
    return this.#supervisor.pid;
  }

  /**
   * Listens, registers and starts the service. Resolves when all of that has begun.
   *
   * @throws StartupError where the port cannot be had.
   */
  async start(): Promise<void> {
    await this.#listen();
    await this.#openProxy();
    this.#registrar?.start();
    this.#registrar?.list(this.#ownRegistration());
    void this.#supervisor.run();
  }

  /** Resolves when the service is over for good: stopped, or given up. */
  get over(): Promise<'stopped' | 'given_up'> {
    return this.#supervisor.run();
  }

  /** Leaves the list, ends the service and stops listening. */
  async close(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#registrar?.stop(), this.#supervisor.stop()]);
    await Promise.all([this.#http?.close(200), this.#proxy?.http.close(200)]);
    await Promise.all([this.#upstream.close(), this.#proxy?.upstream.close()]);
  }

  /** Where the service listens. `localhost` is 127.0.0.1, whatever a resolver says. */
  get #place(): { readonly host: string; readonly port: number } {
    const { host, port } = this.#config;
    return { host: host === 'localhost' ? '127.0.0.1' : host, port };
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#config;
    const address = parseTcpAddress(`${host.includes(':') ? `[${host}]` : host}:${port + 1}`);
    if (!address.loopback)
      throw new StartupError('bad_address', `${host} can be reached from other machines; use localhost.`);
    const guard: Guard = { hosts: hostNames(address.host), origins: new Set(), token: undefined };
    const routes = new RouteTable(this.#routes());
    const { onFault } = this.#options;
    this.#http = await serveHttp({
      address,
      guard,
      ...(onFault === undefined ? {} : { onFault }),
      handler: async (request, response) => {
        const found = routes.find(request);
        if (found === undefined) throw new HttpError(404, 'There is nothing here.');
        await found.route.handle({ request, response, ...found });
      },
    });
  }

  /** The port that passes on what it gets, where the configuration has one. */
  async #openProxy(): Promise<void> {
    const { proxy } = this.#config;
    if (proxy === undefined) return;
    const { onFault } = this.#options;
    const timeoutMs = proxy.timeout_secs * 1000;
    const upstream = new Upstream({ headersMs: timeoutMs, idleMs: timeoutMs });
    const address = parseTcpAddress(`127.0.0.1:${proxy.port}`);
    const http = await serveHttp({
      address,
      guard: { hosts: hostNames(address.host), origins: new Set(), token: undefined },
      limits: { requestTimeoutMs: 300_000 },
      ...(onFault === undefined ? {} : { onFault }),
      handler: transparentProxy({
        upstream,
        url: originOf(this.#place),
        bodyLimit: proxy.body_limit_bytes,
        timeoutMs,
        health: () => ({ status: this.state.kind === 'ready' ? 200 : 503, body: this.#engineHealth() }),
      }),
    });
    this.#proxy = { http, upstream };
  }

  /** Health in the words of gradatum's engine (row 110). */
  #engineHealth(): unknown {
    const { kind } = this.state;
    const model = this.#firstModel;
    return {
      status: kind === 'ready' ? 'ok' : kind === 'starting' ? 'starting' : 'unhealthy',
      ...(model === undefined ? {} : { model }),
      backend: this.#config.backend.type,
      warm_up_state: kind === 'ready' ? 'ready' : kind === 'starting' ? 'loading' : 'unhealthy',
    };
  }

  #routes(): readonly HttpRoute[] {
    return [
      {
        method: 'GET',
        path: '/health',
        handle: ({ response }) => sendJson(response, this.state.kind === 'ready' ? 200 : 503, this.#health()),
      },
      { method: 'GET', path: '/info', handle: ({ response }) => sendJson(response, 200, this.#info()) },
      {
        method: 'GET',
        path: '/models',
        handle: async ({ response }) => sendJson(response, 200, await this.#models()),
      },
    ];
  }

  #health(): unknown {
    const { state } = this;
    return {
      status: state.kind === 'ready' ? 'healthy' : state.kind === 'starting' ? 'starting' : 'unhealthy',
      service: this.#config.name,
      babysitter: 'enhanced',
      warm_up_state: state.kind === 'ready' ? 'ready' : state.kind === 'starting' ? 'loading' : 'unhealthy',
      infinilm_server_running: this.#supervisor.pid !== undefined,
      infinilm_server_port: this.#knownPort(),
      ...('reason' in state ? { reason: state.reason } : {}),
      timestamp: Math.floor(Date.now() / 1000),
    };
  }

  #info(): unknown {
    const { name, host, port, backend } = this.#config;
    return {
      name,
      host,
      port: port + 1,
      url: `http://${host}:${port + 1}`,
      service_type: backend.type,
      infinilm_server_port: this.#knownPort(),
      uptime: Math.floor((performance.now() - this.#startedAt) / 1000),
      restart_count: this.#supervisor.restartCount,
    };
  }

  /** The service's own list, as it gives it. @throws HttpError 503 before it is ready (row 127) */
  async #models(): Promise<unknown> {
    if (this.state.kind !== 'ready') throw new HttpError(503, 'The service is not ready.');
    const origin = originOf(this.#place);
    for (const path of ['/v1/models', '/models']) {
      const answer = await askSmall(this.#upstream, { method: 'GET', origin, path, headers: [] }, 5000).catch(
        () => undefined,
      );
      const value = answer?.status === 200 ? jsonOf(answer.text) : undefined;
      if (value !== undefined) return value;
    }
    throw new HttpError(503, 'The service does not say which models it has.');
  }

  #knownPort(): number | null {
    return this.state.kind === 'ready' || this.state.kind === 'unresponsive' ? this.#config.port : null;
  }

  async #answers(signal: AbortSignal): Promise<boolean> {
    const request = { method: 'GET', origin: originOf(this.#place), path: '/v1/models', headers: [], signal };
    const answer = await askSmall(this.#upstream, request, answerMs).catch(() => undefined);
    return answer !== undefined && answer.status < 500;
  }

  #follow(state: ServiceState): void {
    const name = `${this.#config.name}-server`;
    switch (state.kind) {
      case 'ready':
        this.#registrar?.tell(name, 'running');
        void this.#onReady();
        return;
      case 'restarting':
        this.#registrar?.tell(name, state.kind);
        if (this.#lent === 'now') void this.#takePortBack();
        else if (this.#lent === 'never' && !this.#wasReady) void this.#lendPort();
        return;
      case 'unresponsive':
        this.#registrar?.tell(name, 'unhealthy');
        return;
      case 'given_up':
        this.#registrar?.tell(name, 'unhealthy');
        if (this.#lent === 'now') void this.#takePortBack();
        return;
      case 'starting':
      case 'stopped':
    }
  }

  async #onReady(): Promise<void> {
    this.#wasReady = true;
    if (this.#lent === 'now') await this.#takePortBack();
    if (this.#registrar === undefined && this.#proxy === undefined) return;
    try {
      const models = await fetchModels(this.#upstream, this.#place, this.#stopping.signal);
      this.#firstModel = models[0]?.id;
      const { name, host, port, metadata } = this.#config;
      this.#registrar?.list({
        name: `${name}-server`,
        host,
        hostname: host,
        port,
        url: `http://${host}:${port}`,
        status: this.state.kind === 'ready' ? 'running' : 'unhealthy',
        metadata: {
          ...metadata,
          type: 'openai-api',
          parent_service: name,
          babysitter: 'enhanced',
          // A list that the configuration gives stands where the service gives none.
          ...(models.length === 0 ? {} : { models: models.map(({ id }) => id), models_list: models }),
        },
      });
    } catch {
      // It ended while it was asked; whoever starts it again asks again.
    }
  }

  #ownRegistration() {
    const { name, host, port, backend, metadata } = this.#config;
    return {
      name,
      host,
      hostname: host,
      port: port + 1,
      url: `http://${host}:${port + 1}`,
      status: 'running',
      metadata: { ...metadata, type: backend.type, babysitter: 'enhanced' },
    };
  }

  /**
   * Some services listen on the next port too, such as InfiniLM-SVC's mock, and die where they find it taken. One that
   * died before it was ever ready is given that port once, for its first restart.
   */
  async #lendPort(): Promise<void> {
    this.#lent = 'now';
    const http = this.#http;
    this.#http = undefined;
    await http?.close(0);
  }

  async #takePortBack(): Promise<void> {
    this.#lent = 'done';
    // Where the service has taken it, the service answers there.
    await this.#listen().catch(() => undefined);
  }
}

function restartsOf({ babysitter }: BabysitterConfig): RestartOptions {
  const { max_restarts, restart_delay, child_restart_max, min_stable_uptime_secs } = babysitter;
  if (max_restarts !== undefined || restart_delay !== undefined)
    return fixedRestarts(max_restarts ?? 10_000, (restart_delay ?? 5) * 1000);
  return { ...defaultRestartOptions, budget: child_restart_max, stableMs: min_stable_uptime_secs * 1000 };
}
