import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type ActivityEvent,
  type ActivityRecord,
  type BackendHealth,
  type GenerateRequest,
  encodeFrameBytes,
  type Health,
  HearthError,
  type StreamInfo,
  toErrorFrame,
  type TypedRequest,
} from '@hearth/protocol';
import { Admission, systemClock } from './admission/admission.js';
import { ChannelSystem } from './channels/channels.js';
import type { DaemonView } from './channels/daemon-channels.js';
import type { DurableChannels } from './channels/durable/durable-channels.js';
import type { JournalRecovery } from './channels/durable/journal.js';
import { ShutdownFlushError } from './channels/durable/shutdown-flush-error.js';
import type { Config } from './config/config.js';
import { connectionBudget } from './connections/connection-budget.js';
import { type Connection, ConnectionSupervisor, type Service } from './connections/supervisor.js';
import type {
  Caller,
  DaemonApi,
  DaemonEvents,
  GenerationEvent,
  Rendering,
  TypedResult,
} from './daemon-api.js';
import { serveAdmin } from './endpoints/admin/admin-endpoint.js';
import type { MetricsText } from './endpoints/http/exchange.js';
import { openGateway } from './endpoints/http/open-gateway.js';
import { serveInference } from './endpoints/ndjson/inference-connection.js';
import { type RpcConnection, serveRpc } from './endpoints/rpc/serve-rpc.js';
import type { Engine } from './engine/engine.js';
import type { ActivityLog } from './events/activity-log.js';
import { Observability, type ObservabilityParts } from './events/observability.js';
import type { MetricsView } from './events/metrics/metrics.js';
import { RequestTotals } from './events/request-totals.js';
import { failureToError } from './generation/failures.js';
import { answerTyped, render } from './generation/asker.js';
import { generate, type GeneratorParts } from './generation/generator.js';
import { SideDoor } from './generation/side-door.js';
import { StreamRegistry } from './generation/stream-registry.js';
import { bindSocket } from './lock/bind-socket.js';
import { bindTcp, parseTcpAddress } from './lock/bind-tcp.js';
import type { KernelLock } from './lock/kernel-lock.js';
import { makeProofSecret, removeProofSecret } from './lock/proof-secret.js';
import type { RuntimePaths } from './lock/runtime-directory.js';
import type { ModelsConfig } from './residency/models.js';
import { offerTimeoutMs } from './residency/download-offers.js';
import { Models } from './residency/models.js';
import type { RecordActivity } from './record-activity.js';
import { NotReadyError, waitForReady } from './router/ready-gate.js';
import { Router, serves } from './router/router.js';
import { DaemonNews } from './status/daemon-news.js';
import { StatusBoard } from './status/status-board.js';
import { thisBuild, version } from './version.js';

/** How long a request of each class waits for its turn, in milliseconds: a stale keystroke is of no use. */
const patienceMs = { interactive: 2000, chat: 120_000 };

export interface DaemonParts {
  readonly config: Config;
  readonly paths: RuntimePaths;
  /** Held. The daemon releases it as its very last act. */
  readonly lock: KernelLock;
  readonly log: ActivityLog;
  /** In priority order. */
  readonly engines: readonly Engine[];
  /** Models that are loaded on demand; undefined: none are. */
  readonly models?: ModelsConfig | undefined;
  /** The TCP key, read from the environment by name; undefined: none is asked for. */
  readonly tcpKey: string | undefined;
  /** What HTTP clients show, read from the environment by name; undefined: one is made. */
  readonly httpToken: string | undefined;
  /** What outlives the daemon, where there is a state directory. */
  readonly state: KeptState | undefined;
  /** Registry, babysitters and router; undefined: none. */
  readonly plane?: { start(): Promise<void>; close(): Promise<void> } | undefined;
  /** Who is told of engine events. */
  readonly observed: ObservabilityParts;
}

/** Durable channels, open, and what an earlier process left of them. */
export interface KeptState {
  readonly durable: DurableChannels;
  readonly recovered: ReadonlyMap<string, JournalRecovery>;
}

/** Something that listens. */
interface Listener {
  close(): Promise<void>;
}

/**
 * The daemon: the one place where the parts meet, and their order in time.
 *
 * Start (behaviours.md 1.6): the lock is held before this is made; then admin socket, rpc socket, engines, and
 * only when every engine is ready the inference sockets. So to connect to the inference socket is to know that it
 * can serve (row 46).
 *
 * End: stop accepting, say `draining`, refuse who waits, let what runs finish within the drain timeout, end what
 * is left, stop the engines, release the lock.
 */
export class Daemon implements DaemonApi {
  readonly events = new EventEmitter<DaemonEvents>();
  readonly build = thisBuild();
  readonly channels: ChannelSystem;
  readonly #parts: DaemonParts;
  readonly #board = new StatusBoard();
  readonly #news: DaemonNews;
  readonly #streams: StreamRegistry;
  readonly #sideDoor = new SideDoor();
  readonly #admission: Admission;
  readonly #router: Router;
  readonly models: Models | undefined;
  readonly #listeners: Listener[] = [];
  readonly #connections: ConnectionSupervisor;
  readonly #totals = new RequestTotals();
  readonly #observed: Observability;
  readonly #stopping = new AbortController();
  readonly #hasten = new AbortController();
  readonly #startedAt = performance.now();
  #state: Health['state'] = 'starting';
  #problem: string | undefined;
  #secret: Buffer | undefined;
  #inferenceBound = false;
  #tcp: string | undefined;
  #gateway: Health['gateway'];
  #refused: ReadonlyMap<number, number> = new Map();
  #stopped: Promise<void> | undefined;
  #metricsUrl: string | undefined;
  #flushFailure: ShutdownFlushError | undefined;
  readonly #ended: { readonly promise: Promise<void>; readonly resolve: () => void };

  constructor(parts: DaemonParts) {
    this.#parts = parts;
    let resolve: () => void = () => undefined;
    this.#ended = {
      promise: new Promise((settle) => {
        resolve = settle;
      }),
      resolve: () => {
        resolve();
      },
    };
    this.events.setMaxListeners(0);
    const now = (): number => performance.now();
    this.#news = new DaemonNews({
      board: this.#board,
      record: this.#record,
      isServing: () => this.#inferenceBound,
      isStopping: () => this.isStopping,
      allReady: () => this.#router.allReady,
      tcpAddress: () => this.#tcp,
      onHealth: () => this.events.emit('health'),
    });
    this.#connections = new ConnectionSupervisor({
      limit: connectionBudget(parts.config.limits.connections),
      record: this.#record,
      now,
      onChange: () => this.events.emit('connections'),
    });
    this.#observed = new Observability(parts.observed, {
      record: this.#record,
      engines: () => this.#allEngines(),
      view: () => this.#gauges(),
      now,
    });
    this.channels = new ChannelSystem({ limits: parts.config.limits, view: this.#view(), now });
    if (parts.state !== undefined) this.#takeOver(parts.state);
    this.#streams = new StreamRegistry(now, () => this.events.emit('streams'));
    this.#admission = new Admission(
      { activePermits: parts.config.active_permits, queueDepth: parts.config.queue_depth, patienceMs },
      systemClock,
      () => {
        this.events.emit('health');
        this.models?.pool.consider();
      },
    );
    this.models = parts.models === undefined ? undefined : this.#makeModels(parts.models);
    // Who answers where no model is named comes first in health.
    this.models?.events.on('change', () => this.events.emit('health'));
    this.#router = new Router(parts.engines, {
      now,
      onDemand: () => this.models?.pool.engines ?? [],
      onBreaker: (engine, state) => {
        parts.log.record(state === 'open' ? 'warn' : 'info', 'router', breakerEvent(engine, state));
        this.events.emit('health');
      },
    });
    parts.log.events.on('record', (record) => {
      this.#totals.note(record);
      this.events.emit('activity', record);
    });
  }

  /**
   * Starts everything and waits until it serves.
   *
   * @throws StartupError where something cannot be bound. @throws NotReadyError where an engine failed or took
   *   too long. In both cases the caller is to {@link stop}.
   */
  async start(): Promise<void> {
    const { config, paths, lock, log, engines } = this.#parts;
    log.record('info', 'daemon', { msg: 'daemon_started', pid: process.pid, version });
    this.#secret = await makeProofSecret(paths, lock, config.socket_proof);
    const ours = { lock, secret: this.#secret, mode: 0o600, onAcceptError: this.#connections.shed } as const;
    const serveOnAdmin = (socket: Socket): Service => ({ done: serveAdmin(socket, this.#board) });
    const onAdmin = this.#connections.listener({ kind: 'admin', serve: serveOnAdmin });
    this.#keep(await bindSocket({ ...ours, path: paths.admin, onConnection: onAdmin }));
    const serveOnRpc = (socket: Socket): Service => serviceOf(this.#serveRpc(socket, socket));
    const onRpc = this.#connections.listener({ kind: 'rpc', serve: serveOnRpc });
    this.#keep(await bindSocket({ ...ours, path: paths.rpc, onConnection: onRpc }));
    await this.#openObservability();
    this.#setState('loading');
    for (const engine of engines) this.#follow(engine, 'at_start');
    for (const engine of engines) engine.start();
    await this.#parts.plane?.start();
    const startupMs = await waitForReady(engines, config.ready_timeout_secs * 1000, this.#stopping.signal);
    await this.#openInference();
    this.#setState('ready');
    log.record('info', 'daemon', { msg: 'daemon_ready', startup_ms: Math.round(startupMs) });
    // Its own model serves meanwhile.
    void this.models?.returnToChoice();
  }

  /** Serves one more peer of the JSON-RPC protocol, such as the editor at the other end of stdio. */
  attachRpc(input: Readable, output: Writable): RpcConnection {
    const connection = this.#serveRpc(input, output);
    this.#connections.adopt('rpc', serviceOf(connection));
    return connection;
  }

  /**
   * Resolves once nobody has been connected for `lingerMs`: no editor, no relay, no client of the inference
   * sockets. The admin socket only looks on, and does not count. Whoever comes meanwhile begins the wait anew.
   */
  async unusedFor(lingerMs: number): Promise<void> {
    for (;;) {
      await this.#connections.unused();
      const before = this.#connections.accepted;
      await delay(lingerMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      if (this.#connections.accepted === before || this.#stopping.signal.aborted) return;
    }
  }

  /** Resolves when the daemon has ended, whoever ended it. */
  get stopped(): Promise<void> {
    return this.#ended.promise;
  }

  /** Marks the daemon as failed, for editors that are to show why; admin and rpc sockets stay. */
  fail(problem: string): void {
    this.#problem = problem;
    this.#setState('failed');
  }

  /** Whether the end has begun, whoever began it. */
  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Where health and metrics are served; undefined where they are not. */
  get metricsUrl(): string | undefined {
    return this.#metricsUrl;
  }

  /** What could not be saved at the end; undefined where everything was. For whoever gives the exit code. */
  get flushFailure(): ShutdownFlushError | undefined {
    return this.#flushFailure;
  }

  /** Where the inference protocol is served over TCP, as `host:port`; undefined where it is not. */
  get tcpAddress(): string | undefined {
    return this.#tcp;
  }

  health(): Health {
    const { config, paths, log } = this.#parts;
    return {
      state: this.#describeState(),
      version,
      pid: process.pid,
      uptimeMs: Math.round(performance.now() - this.#startedAt),
      ...(this.#inferenceBound ? { socketPath: paths.inference } : {}),
      ...(this.#gateway === undefined ? {} : { gateway: this.#gateway }),
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
      adminSocketPath: paths.admin,
      logPath: log.path,
      ...(log.problem === undefined ? {} : { logProblem: log.problem }),
      backends: this.#allEngines().map((engine) => this.#describe(engine)),
      admission: {
        activePermits: config.active_permits,
        permitsInUse: this.#admission.permitsInUse,
        queueDepth: config.queue_depth,
        queued: this.#admission.queued,
      },
    };
  }

  streams(): readonly StreamInfo[] {
    return this.#streams.list();
  }

  recentActivity(): readonly ActivityRecord[] {
    return this.#parts.log.recent();
  }

  generate(request: GenerateRequest, caller: Caller, signal: AbortSignal): AsyncIterable<GenerationEvent> {
    const events = generate(this.#generatorParts(), request, caller, signal);
    return this.#observed.watch(events, caller.route);
  }

  answerTyped(request: TypedRequest, caller: Caller, signal: AbortSignal): Promise<TypedResult> {
    const answer = answerTyped(this.#generatorParts(), request, caller, signal);
    return this.#observed.watchOnce(answer, caller.route, request.type);
  }

  render(request: GenerateRequest, caller: Caller, signal: AbortSignal): Promise<Rendering> {
    return render(this.#generatorParts(), request, caller, signal);
  }

  #generatorParts(): GeneratorParts {
    return {
      admission: this.#admission,
      router: this.#router,
      streams: this.#streams,
      sideDoor: this.#sideDoor,
      record: this.#record,
      now: (): number => performance.now(),
      residency: this.models,
    };
  }

  async countTokens(texts: readonly string[], model?: string): Promise<readonly number[]> {
    const route = this.#router.route(model, 'tokenize');
    // Counting says nothing of how well the backend generates.
    route.settle('neutral');
    try {
      return await this.#sideDoor.pass('count', new AbortController().signal, () =>
        route.engine.countTokens(texts),
      );
    } catch (error) {
      throw failureToError(error);
    }
  }

  cancelStream(streamId: string): boolean {
    return this.#streams.cancel(streamId);
  }

  drain(): void {
    this.stop().catch((error: unknown) => {
      this.#record('error', 'daemon', internalError('drain', error));
    });
  }

  /**
   * Drains and ends. The first call begins; each later call hastens, and all of them get the same end (row 146).
   */
  stop(): Promise<void> {
    if (this.#stopped === undefined) this.#stopped = this.#drain();
    else this.#hasten.abort();
    return this.#stopped;
  }

  async #drain(): Promise<void> {
    const { config, engines, lock, log, paths, plane } = this.#parts;
    this.#stopping.abort();
    this.#setState('draining');
    const closing = this.#listeners.map((listener) => listener.close());
    log.record('info', 'daemon', {
      msg: 'daemon_draining',
      in_flight: this.#streams.size - this.#admission.queued,
      queued: this.#admission.queued,
    });
    this.#news.draining();
    this.events.emit('draining');
    this.#connections.refuseNew();
    this.#admission.close();
    await this.#connections.notifyAll('draining');

    await this.#finishRunning(config.drain_timeout_secs * 1000);
    // Their streams are over; what is written goes out before the end of each connection.
    await this.#connections.closeAll(goodbyeMs);
    await Promise.race([Promise.all(closing), delay(1000, undefined, { ref: false })]);
    await this.#flush();
    await Promise.all([...engines.map((engine) => engine.stop()), this.models?.stop(), plane?.close()]);
    await this.#observed.close();
    log.record('info', 'daemon', {
      msg: 'daemon_stopped',
      uptime_s: Math.round((performance.now() - this.#startedAt) / 1000),
    });
    log.close();
    if (this.#secret !== undefined) await removeProofSecret(paths);
    lock.release();
    this.#ended.resolve();
  }

  /** What metrics read at each scrape. */
  #gauges(): Omit<MetricsView, 'lostEvents'> {
    const { inference, rpc, admin } = this.#view().connections();
    return {
      permits: this.#parts.config.active_permits,
      permitsInUse: this.#admission.permitsInUse,
      queued: this.#admission.queued,
      connections: { inference, rpc, admin },
      refused: this.#refused,
      ...this.channels.counts,
    };
  }

  /** Health and metrics on a port of their own, before anything is loaded: whoever looks after it wants to see that too. */
  async #openObservability(): Promise<void> {
    const { metrics_port: port } = this.#parts.config;
    const { metrics } = this.#observed;
    if (port === undefined || metrics === undefined) return;
    const { serveObservability } = await import('./endpoints/observability/serve-observability.js');
    const server = await serveObservability({
      port,
      metrics: async () => ({ text: await metrics.text(), contentType: metrics.contentType }),
      unmetConditions: () => this.#unmetConditions(),
      onFault: (error) => {
        this.#record('error', 'connections', internalError('observability', error));
      },
    });
    this.#metricsUrl = server.url;
    this.#keep(server);
  }

  /** The metrics as they are now; undefined where none are kept. */
  get #metricsText(): MetricsText | undefined {
    const { metrics } = this.#observed;
    if (metrics === undefined) return undefined;
    return async () => ({ text: await metrics.text(), contentType: metrics.contentType });
  }

  #unmetConditions(): readonly string[] {
    const { state, backends } = this.health();
    if (state === 'draining') return ['draining'];
    return [
      ...(this.#inferenceBound ? [] : ['inference socket is not bound']),
      ...(this.#inferenceBound && state !== 'ready'
        ? backends
            .filter((one) => one.state.kind !== 'ready')
            .map((one) => `backend ${one.name} is ${one.state.kind}`)
        : []),
    ];
  }

  #takeOver({ durable, recovered }: KeptState): void {
    this.channels.useDurable(durable);
    for (const [channel, recovery] of recovered) {
      this.channels.restoreKeys(channel, recovery);
      const { cutBytes, messages } = recovery;
      if (cutBytes > 0)
        this.#record('warn', 'channels', {
          msg: 'journal_recovered',
          cut_bytes: cutBytes,
          messages: messages.length,
        });
    }
  }

  /** Brings to the disk what is to outlive us. What cannot be brought is told at the exit (row 147). */
  async #flush(): Promise<void> {
    try {
      await this.channels.close();
    } catch (error) {
      if (!(error instanceof ShutdownFlushError)) throw error;
      this.#flushFailure = error;
      this.#record('error', 'channels', { msg: 'shutdown_flush_failed', channels: error.failed.length });
    }
  }

  /** Lets what runs finish until the time is up or somebody hastens, then ends it. */
  async #finishRunning(timeoutMs: number): Promise<void> {
    if (this.#streams.size === 0) return;
    const empty = this.#streams.empty();
    const patience = delay(timeoutMs, undefined, { signal: this.#hasten.signal, ref: false }).catch(
      () => undefined,
    );
    await Promise.race([empty, patience]);
    this.#streams.cancelAll();
    // An engine that does not stop is stopped with its process; nobody waits for it here.
    await Promise.race([empty, delay(1000, undefined, { ref: false })]);
  }

  async #openInference(): Promise<void> {
    const { config, lock, paths, tcpKey } = this.#parts;
    if (config.tcp !== undefined) {
      const tcp = await bindTcp({
        address: parseTcpAddress(config.tcp),
        allowNonLoopback: config.tcp_allow_remote,
        hasKey: tcpKey !== undefined,
        allowHalfOpen: true,
        onConnection: this.#inferenceListener('tcp'),
      });
      this.#keep(tcp);
      const { host, family, port } = tcp.address;
      this.#tcp = family === 6 ? `[${host}]:${String(port)}` : `${host}:${String(port)}`;
    }
    await this.#openGateway();
    // The frame comes before the socket (row 49).
    this.#news.ready();
    const unix = await bindSocket({
      lock,
      secret: this.#secret,
      path: paths.inference,
      mode: 0o660,
      allowHalfOpen: true,
      onConnection: this.#inferenceListener(process.platform === 'win32' ? 'pipe' : 'unix'),
      onAcceptError: this.#connections.shed,
    });
    this.#keep(unix);
    this.#inferenceBound = true;
  }

  async #openGateway(): Promise<void> {
    const { config, paths, httpToken } = this.#parts;
    if (config.http === undefined) return;
    const gateway = await openGateway({
      daemon: this,
      config: config.http,
      directory: paths.directory,
      token: httpToken,
      writeTimeoutMs: config.write_timeout_secs * 1000,
      connections: config.limits.connections,
      graceMs: config.drain_timeout_secs * 1000 + goodbyeMs,
      record: this.#record,
      metrics: this.#metricsText,
      onExchange: (done) => this.#connections.adopt('inference', { done }),
    });
    this.#gateway = gateway.described;
    this.#refused = gateway.refused;
    this.#keep(gateway);
  }

  /** Keeps what listens, to close it at the end; at once where the end has come meanwhile. @throws NotReadyError */
  #keep(listener: Listener): void {
    this.#listeners.push(listener);
    if (!this.#stopping.signal.aborted) return;
    void listener.close();
    throw new NotReadyError('not ready: the daemon was told to stop while it was starting');
  }

  #inferenceListener(transport: 'unix' | 'pipe' | 'tcp'): (socket: Socket) => void {
    return this.#connections.listener({
      kind: 'inference',
      keptBack: keptForOperators,
      // Without its key a stranger is told nothing.
      ...(transport === 'tcp' && this.#parts.tcpKey !== undefined ? {} : { refusal: tooManyConnections }),
      serve: (socket, connection) => this.#serveInference(socket, transport, connection),
    });
  }

  #serveInference(socket: Socket, transport: 'unix' | 'pipe' | 'tcp', connection: Connection): Service {
    const { config, log, tcpKey } = this.#parts;
    const { peer, client } = connection;
    log.record('info', 'connections', {
      msg: 'connection_accepted',
      transport,
      ...(socket.remoteAddress === undefined ? {} : { peer: socket.remoteAddress }),
      ...(peer === undefined ? {} : { peer_uid: peer.uid }),
      ...(peer?.pid === undefined ? {} : { peer_pid: peer.pid }),
    });
    return serveInference(socket, {
      daemon: this,
      record: this.#record,
      transport,
      writeTimeoutMs: config.write_timeout_secs * 1000,
      client,
      key: transport === 'tcp' ? tcpKey : undefined,
    });
  }

  #serveRpc(input: Readable, output: Writable): RpcConnection {
    return serveRpc(input, output, this, { writeTimeoutMs: this.#parts.config.write_timeout_secs * 1000 });
  }

  #makeModels(config: ModelsConfig): Models {
    return new Models(config, {
      demand: () => this.#admission.demand(),
      runningOn: (backend) =>
        this.#streams.list().filter((stream) => stream.backend === backend && stream.stage !== 'queued')
          .length,
      isFixed: (model) =>
        this.#parts.engines.some((engine) => engine !== config.own?.engine && serves(engine, model)),
      setServable: (ids) => this.#admission.setServable(ids),
      refuse: (id, error) => this.#admission.refuseModel(id, error),
      record: this.#record,
      confirmDownload: async (model, bytes) => {
        const options = { timeoutMs: offerTimeoutMs, signal: this.#stopping.signal };
        return this.channels.confirmDownload({ model, bytes }, options);
      },
      onEngine: (engine) => this.#follow(engine, 'on_demand'),
      tell: (phase) => {
        this.#news.loading(phase);
      },
      tellReady: () => {
        this.#news.readyAgain();
      },
    });
  }

  /**
   * The engines that the daemon was started with, without those that had to make room, and those of the moment. First comes
   * the one that answers where no model is named.
   */
  #allEngines(): readonly Engine[] {
    const own = this.#parts.engines.filter(({ state }) => this.isStopping || state.kind !== 'stopped');
    const all = [...new Set([...own, ...(this.models?.pool.engines ?? [])])];
    return this.models?.chosenFirst(all) ?? all;
  }

  #follow(engine: Engine, comes: 'at_start' | 'on_demand'): void {
    this.#observed.follow(engine);
    this.#news.follow(engine, comes);
  }

  /** Once everything has been ready, it is as good as the best of its engines. */
  #describeState(): Health['state'] {
    if (this.#state !== 'ready') return this.#state;
    const states = this.#allEngines().map((engine) => engine.state.kind);
    if (states.includes('ready')) return 'ready';
    return states.every((kind) => kind === 'failed') ? 'failed' : 'loading';
  }

  #describe(engine: Engine): BackendHealth {
    const { generate, tools, vision, thinking, tokenize } = engine.capabilities;
    return {
      name: engine.name,
      state: engine.state,
      breaker: this.#router.breakerOf(engine),
      ...(engine.model === undefined
        ? {}
        : { model: engine.model, abilities: { generate, tools, vision, thinking, tokenize } }),
      ...(engine.workerPid === undefined ? {} : { workerPid: engine.workerPid }),
      ...(engine.tokensPerSecond === undefined ? {} : { tokensPerSecond: engine.tokensPerSecond }),
    };
  }

  /** What the daemon's own channels tell of. */
  #view(): DaemonView {
    return {
      events: this.events,
      health: () => this.health(),
      onEngineEvent: (listener) => this.#observed.listen(listener),
      recentActivity: () => this.recentActivity(),
      connections: () => ({
        inference: this.#connections.count('inference'),
        rpc: this.#connections.count('rpc'),
        admin: this.#connections.count('admin'),
      }),
      metrics: () => ({
        ...this.#totals.counts,
        permits_in_use: this.#admission.permitsInUse,
        queued: this.#admission.queued,
        connections: this.#connections.count(),
        ...this.channels.counts,
      }),
    };
  }

  readonly #record: RecordActivity = (level, component, event) => {
    this.#parts.log.record(level, component, event);
  };

  #setState(state: Health['state']): void {
    // There is no way back from the end.
    if (this.#state === 'draining') return;
    this.#state = state;
    this.events.emit('health');
  }
}

/** An editor's connection as the supervisor keeps it. That the daemon drains it learns by an event of the daemon's. */
function serviceOf(connection: RpcConnection): Service {
  return {
    done: connection.closed,
    farewell: async (reason) => {
      if (reason === 'closing') await connection.end();
    },
  };
}

/** What a client of the inference sockets is told for whom there is no room (row 155). */
function tooManyConnections(limit: number): Uint8Array {
  const text = `limits.connections: ${String(limit)} connections are open; close one, or raise the limit`;
  return encodeFrameBytes(toErrorFrame('', new HearthError('limit_exceeded', text)));
}

/** Longest that the goodbye of one connection may take, in milliseconds: answers in flight to an editor go first. */
const goodbyeMs = 2500;

/** Connections that clients of the inference sockets leave to editors and to whoever looks after the daemon. */
const keptForOperators = 16;

function breakerEvent(engine: Engine, state: 'open' | 'closed'): ActivityEvent {
  return state === 'open'
    ? { msg: 'breaker_opened', backend: engine.name }
    : { msg: 'breaker_closed', backend: engine.name };
}

function internalError(where: string, error: unknown): ActivityEvent {
  // The name only: a message may hold anything.
  return { msg: 'internal_error', where, error: error instanceof Error ? error.name : typeof error };
}
