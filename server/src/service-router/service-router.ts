import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { checkToken, type Guard, hostNames, refuseSimpleTypes, tokenCheck } from '../http/guard.js';
import { HttpError } from '../http/http-error.js';
import { readBody } from '../http/read-body.js';
import { type HttpRoute, RouteTable } from '../http/routes.js';
import { type HttpServer, sendJson, serveHttp } from '../http/serve-http.js';
import type { TcpAddress } from '../lock/bind-tcp.js';
import { gatewayError, passOn, type Passed, type RelayEnd } from '../proxy/relay.js';
import { type ListedService, RegistryClient } from '../registry/registry-client.js';
import { Upstream } from '../upstream/upstream.js';
import type { UpstreamError, UpstreamFailure } from '../upstream/upstream-error.js';
import { type Balance, type Choice, Chooser, type Wanted } from './choose.js';
import { type CircuitPolicy, defaultCircuitPolicy, onEnd, onPass, type Outcome } from './circuit.js';
import { followRegistry } from './discovery.js';
import { HealthChecks } from './health-checks.js';
import { peekRequest, type RequestFacts } from './peek-request.js';
import { prefixBlocks } from './prefix-index.js';
import { describeService, type RoutedService } from './routed-service.js';
import { aggregateModels, ServiceTable } from './service-table.js';

/** What a router does, with InfiniLM-SVC's defaults (behaviours.md 3.4). Times in seconds. */
export interface ServiceRouterOptions {
  readonly address: TcpAddress;
  readonly registryUrl?: string | undefined;
  readonly staticServices?: readonly ListedService[];
  /** @default 30 */
  readonly healthInterval?: number;
  /** @default 5 */
  readonly healthTimeout?: number;
  /** @default 3 */
  readonly maxErrors?: number;
  /** For registries that give no news of themselves. @default 10 */
  readonly registrySyncInterval?: number;
  /** @default 60 */
  readonly removalGracePeriod?: number;
  /** To the head of an answer. @default 1800 */
  readonly proxyTimeout?: number;
  /** For silence within an answer. @default 300 */
  readonly idleTimeout?: number;
  /** Bytes of text. @default 51 200 */
  readonly sizeThreshold?: number;
  /** @default "round-robin" */
  readonly balance?: Balance;
  /** Whose requests stay together: of a `prompt_cache_key`, of a client as well, or nobody's. @default "key" */
  readonly affinity?: 'key' | 'client' | 'off';
  /** Whether `X-Forwarded-For` says who the client is. @default false */
  readonly trustForwardedFor?: boolean;
  /** Largest body, in bytes. @default 33 554 432 */
  readonly bodyLimit?: number;
  /** Clients must show it; undefined: none is asked for. */
  readonly token?: string | undefined;
  /** Shown to a registry that asks for one. */
  readonly registryToken?: string | undefined;
  readonly onFault?: (error: unknown) => void;
}

/** Attempts for one request, each at most once begun (row 135). */
const mostAttempts = 3;
/** Bytes of bodies that are held at once. */
const heldBytes = 512 * 1024 * 1024;
/** The name of the header that says why a service was chosen. */
const decisionHeader = 'X-Hearth-Decision';

/**
 * Passes requests on to the services that a registry lists (rows 128 to 139). What a client sends and gets goes through
 * as it is; only the choice is the router's own, and a header says how it was made.
 */
export class ServiceRouter {
  readonly #options: ServiceRouterOptions;
  readonly #upstream: Upstream;
  readonly #probes: Upstream;
  readonly #table: ServiceTable;
  readonly #chooser: Chooser;
  readonly #checks: HealthChecks;
  readonly #policy: CircuitPolicy;
  readonly #stopping = new AbortController();
  readonly #decisions = new Map<string, number>();
  #grace: NodeJS.Timeout | undefined;
  #http: HttpServer | undefined;
  #requests = 0;
  #retries = 0;
  #held = 0;

  constructor(options: ServiceRouterOptions) {
    this.#options = options;
    const {
      proxyTimeout = 1800,
      idleTimeout = 300,
      maxErrors = 3,
      healthInterval = 30,
      healthTimeout = 5,
    } = options;
    this.#upstream = new Upstream({ headersMs: proxyTimeout * 1000, idleMs: idleTimeout * 1000 });
    this.#probes = new Upstream({ connectMs: healthTimeout * 1000 });
    this.#table = new ServiceTable(options.staticServices);
    this.#policy = { ...defaultCircuitPolicy, maxErrors, openMs: healthInterval * 1000 };
    this.#chooser = new Chooser({
      balance: options.balance ?? 'round-robin',
      sizeThreshold: options.sizeThreshold ?? 51_200,
      circuit: this.#policy,
    });
    this.#checks = new HealthChecks(this.#probes, {
      intervalMs: healthInterval * 1000,
      timeoutMs: healthTimeout * 1000,
      maxErrors,
    });
  }

  /** Where it listens. */
  get url(): string {
    return this.#http?.url ?? '';
  }

  /** @throws StartupError where it cannot listen. */
  async start(): Promise<void> {
    const { address, token, onFault } = this.#options;
    const guard: Guard = {
      hosts: hostNames(address.host),
      origins: new Set(),
      token: token === undefined ? undefined : tokenCheck(token),
    };
    const routes = new RouteTable(this.#routes());
    this.#http = await serveHttp({
      address,
      guard,
      allowNonLoopback: token !== undefined,
      hasKey: token !== undefined,
      // A body of the largest size over a slow line.
      limits: { requestTimeoutMs: 300_000 },
      ...(onFault === undefined ? {} : { onFault }),
      handler: async (request, response) => {
        checkToken(request, guard);
        const found = routes.find(request);
        if (found === undefined) await this.#forward(request, response);
        else await found.route.handle({ request, response, ...found });
      },
    });
    for (const service of this.#table.list()) this.#checks.watch(service);
    const { registryUrl, registryToken, registrySyncInterval = 10 } = this.#options;
    if (registryUrl === undefined) return;
    const client = new RegistryClient(this.#probes, registryUrl, registryToken);
    void followRegistry(
      client,
      registrySyncInterval * 1000,
      ({ services }) => this.#takeList(services),
      this.#stopping.signal,
    );
  }

  /** Stops accepting; lets what runs end for `graceMs`. */
  async close(graceMs = 10_000): Promise<void> {
    this.#stopping.abort();
    this.#checks.stop();
    clearTimeout(this.#grace);
    await this.#http?.close(graceMs);
    await Promise.all([this.#upstream.close(), this.#probes.close()]);
  }

  #routes(): readonly HttpRoute[] {
    const health: HttpRoute['handle'] = ({ response }) => {
      const { status, body } = this.#health();
      sendJson(response, status, body);
    };
    const models: HttpRoute['handle'] = ({ response }) => {
      sendJson(response, 200, { object: 'list', data: aggregateModels(this.#table.list()) });
    };
    return [
      { method: 'GET', path: '/health', handle: health },
      { method: 'GET', path: '/status', handle: health },
      {
        method: 'GET',
        path: '/services',
        handle: ({ response }) => sendJson(response, 200, this.#services()),
      },
      { method: 'GET', path: '/models', handle: models },
      { method: 'GET', path: '/v1/models', handle: models },
      { method: 'GET', path: '/stats', handle: ({ response }) => sendJson(response, 200, this.#stats()) },
    ];
  }

  /** 503 while nobody could serve: a balancer before us must not send anybody here. */
  #health(): { readonly status: number; readonly body: unknown } {
    const services = this.#table.list();
    const healthy = services.filter((service) => service.healthy).length;
    return {
      status: healthy > 0 ? 200 : 503,
      body: {
        status: healthy > 0 ? 'healthy' : 'running',
        router: 'running',
        healthy_services: `${healthy}/${services.length}`,
        registry_url: this.#options.registryUrl ?? null,
        message: healthy > 0 ? null : 'No healthy services available',
        timestamp: Math.floor(Date.now() / 1000),
      },
    };
  }

  #describe(): readonly unknown[] {
    const now = performance.now();
    return this.#table.list().map((service) => describeService(service, now, this.#policy));
  }

  #services(): unknown {
    const services = this.#describe();
    return { services, total: services.length, registry_url: this.#options.registryUrl ?? null };
  }

  #stats(): unknown {
    const services = this.#table.list();
    return {
      total_services: services.length,
      healthy_services: services.filter(({ healthy }) => healthy).length,
      registry_url: this.#options.registryUrl ?? null,
      services: this.#describe(),
      requests: this.#requests,
      retries: this.#retries,
      decisions: Object.fromEntries(this.#decisions),
    };
  }

  #takeList(listed: readonly ListedService[]): void {
    const { arrived, missing } = this.#table.sync(listed, performance.now());
    // Who is no longer listed is looked at now: it may have died.
    for (const service of [...arrived, ...missing]) this.#checks.watch(service);
    this.#watchGrace();
  }

  /** One timer, for whoever has been missing the longest. */
  #watchGrace(): void {
    clearTimeout(this.#grace);
    const graceMs = (this.#options.removalGracePeriod ?? 60) * 1000;
    const now = performance.now();
    for (const gone of this.#table.removeMissing(now, graceMs)) this.#checks.forget(gone);
    const since = this.#table
      .list()
      .flatMap(({ missingSince }) => (missingSince === undefined ? [] : [missingSince]));
    if (since.length === 0 || this.#stopping.signal.aborted) return;
    this.#grace = setTimeout(() => this.#watchGrace(), Math.min(...since) + graceMs - now + 1);
  }

  async #forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    refuseSimpleTypes(request);
    const limit = this.#options.bodyLimit ?? 32 * 1024 * 1024;
    const declared = request.headers['content-length'];
    const share =
      declared === undefined
        ? request.headers['transfer-encoding'] === undefined
          ? 0
          : limit
        : Math.min(Number(declared), limit);
    if (this.#held + share > heldBytes) {
      throw new HttpError(503, 'The router holds too many large requests. Try again later.', {
        headers: { 'Retry-After': '1' },
        closes: true,
      });
    }
    this.#held += share;
    try {
      const body = await readBody(request, response, limit);
      await this.#route(request, response, body);
    } finally {
      this.#held -= share;
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse, body: Buffer): Promise<void> {
    const facts = request.method === 'POST' ? peekRequest(body) : undefined;
    const tried = new Set<string>();
    const wanted = this.#wanted(request, body, facts, tried);
    let failure: UpstreamError | undefined;
    for (let attempt = 1; attempt <= mostAttempts; attempt += 1) {
      // A connection that broke may have been an idle one that its service was closing: the same may be asked again.
      const again = failure?.kind === 'broken' ? { ...wanted, tried: new Set<string>() } : undefined;
      const choice = this.#choose(wanted) ?? (again === undefined ? undefined : this.#choose(again));
      if (choice === undefined) break;
      if (attempt > 1) this.#retries += 1;
      const claim = this.#claim(choice.service);
      const since = performance.now();
      const passed = await this.#passOn(request, response, choice.service, body, () => {
        choice.service.responseTime = smooth(choice.service.responseTime, (performance.now() - since) / 1000);
        this.#chooser.served(choice);
        this.#count(choice);
        return [decisionHeader, describeChoice(choice, attempt)];
      });
      if (passed.kind === 'answered') {
        claim.end(relayOutcome(passed.end, passed.status));
        return;
      }
      failure = passed.error;
      claim.end(outcomeOf(failure.kind));
      if (failure.kind === 'cancelled') return;
      tried.add(choice.service.name);
      // Only what cannot have been worked on twice is tried again (trap 19).
      if (failure.kind === 'headers_timeout') break;
    }
    throw failure === undefined ? nobody(facts?.model) : gatewayError(failure);
  }

  #wanted(
    request: IncomingMessage,
    body: Buffer,
    facts: RequestFacts | undefined,
    tried: ReadonlySet<string>,
  ): Wanted {
    let blocks: readonly number[] | undefined;
    return {
      model: facts?.model,
      session: this.#sessionOf(request, facts),
      textBytes: facts?.textBytes,
      blocks: () =>
        (blocks ??= facts === undefined ? [] : prefixBlocks(body, facts.parts, facts.model ?? '')),
      tried,
    };
  }

  #choose(wanted: Wanted): Choice | undefined {
    return this.#chooser.choose(this.#table.list(), wanted, performance.now());
  }

  /** Takes a place at a service. The choice and this run in one turn, so that a probe is the only one. */
  #claim(service: RoutedService): { readonly end: (outcome: Outcome) => void } {
    this.#requests += 1;
    const number = this.#requests;
    service.circuit = onPass(service.circuit, number);
    service.requestCount += 1;
    service.outstanding += 1;
    return {
      end: (outcome) => {
        service.outstanding -= 1;
        if (outcome === 'transport' || outcome === 'timeout' || outcome === 'server_error') {
          service.errorCount += 1;
          // The probe tells whether it is the service, sooner than the next request would.
          if (outcome === 'transport') this.#checks.watch(service);
        }
        service.circuit = onEnd(service.circuit, number, outcome, performance.now(), this.#policy);
      },
    };
  }

  #passOn(
    request: IncomingMessage,
    response: ServerResponse,
    { url }: RoutedService,
    body: Buffer,
    onHead: () => readonly string[],
  ): Promise<Passed> {
    const upstream = this.#upstream;
    // The token is the router's own; a client's key for the service goes through where there is none.
    const dropped = this.#options.token === undefined ? undefined : ownToken;
    return passOn(
      request,
      response,
      { upstream, url, body, ...(dropped === undefined ? {} : { dropped }) },
      onHead,
    );
  }

  /** Whose session a request belongs to. Keys of different models are different sessions. */
  #sessionOf(request: IncomingMessage, facts: RequestFacts | undefined): string | undefined {
    const { affinity = 'key', trustForwardedFor = false } = this.#options;
    if (affinity === 'off' || facts === undefined) return undefined;
    const model = facts.model ?? '';
    if (facts.sessionKey !== undefined) return `${model}:prompt_cache:${facts.sessionKey}`;
    if (affinity === 'key') return undefined;
    const forwarded = request.headers['x-forwarded-for'];
    const first =
      trustForwardedFor && typeof forwarded === 'string' ? forwarded.split(',', 1)[0]?.trim() : undefined;
    const who = `${first ?? request.socket.remoteAddress ?? ''}${request.headers['user-agent'] ?? ''}`;
    return `${model}:ip:${createHash('sha256').update(who).digest('hex').slice(0, 16)}`;
  }

  #count({ by }: Choice): void {
    this.#decisions.set(by, (this.#decisions.get(by) ?? 0) + 1);
  }
}

const ownToken: ReadonlySet<string> = new Set(['authorization']);

function describeChoice({ service, by, pool, candidates, matched }: Choice, attempt: number): string {
  return [
    `service=${encodeURIComponent(service.name)}`,
    `by=${by}`,
    `candidates=${candidates}`,
    ...(pool === undefined ? [] : [`pool=${pool}`]),
    ...(matched === 0 ? [] : [`matched_blocks=${matched}`]),
    `attempt=${attempt}`,
  ].join('; ');
}

function nobody(model: string | undefined): HttpError {
  const headers = { 'Retry-After': '5' };
  if (model === undefined) return new HttpError(503, 'No healthy services available', { headers });
  return new HttpError(503, `No healthy services available for model '${model.slice(0, 256)}'`, { headers });
}

function outcomeOf(kind: UpstreamFailure): Outcome {
  switch (kind) {
    case 'refused':
    case 'broken':
      return 'transport';
    case 'connect_timeout':
    case 'headers_timeout':
    case 'idle_timeout':
      return 'timeout';
    case 'cancelled':
      return 'cancelled';
  }
}

function relayOutcome(end: RelayEnd, status: number): Outcome {
  switch (end) {
    case 'client_gone':
      return 'cancelled';
    case 'broken':
      return 'transport';
    case 'idle_timeout':
      return 'timeout';
    case 'complete':
      if (status === 503 || status === 429) return 'busy';
      return status >= 500 ? 'server_error' : 'ok';
  }
}

function smooth(before: number, value: number): number {
  return before === 0 ? value : before * 0.8 + value * 0.2;
}
