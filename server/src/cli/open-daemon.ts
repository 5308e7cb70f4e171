import type { BackendConfig, Config, MockConfig } from '../config/config.js';
import { defaultTokenVariable } from '../config/http-config.js';
import { Daemon } from '../daemon.js';
import type { EngineCapabilities } from '../engine/encoding.js';
import type { Engine } from '../engine/engine.js';
import { MockEngine } from '../engine/mock/mock-engine.js';
import { type ActivityLog, createActivityLog, resolveLogDirectory } from '../events/activity-log.js';
import type { ServicePlane } from './open-plane.js';
import type { KernelLock } from '../lock/kernel-lock.js';
import type { RuntimePaths } from '../lock/runtime-directory.js';
import { StartupError } from '../lock/startup-error.js';
import type { ModelSource } from '../models/model-source.js';
import { resolveModel } from '../models/resolve-model.js';
import { llamaMaker, makeModels } from './open-models.js';
import { openObservability } from './open-observability.js';
import { openState } from './open-state.js';

/**
 * Puts a daemon together from its configuration. The lock is held: it comes before everything else.
 *
 * @throws StartupError `config`, @throws HearthError `model_not_found`.
 */
export async function makeDaemon(config: Config, paths: RuntimePaths, lock: KernelLock): Promise<Daemon> {
  const made = await makeEngines(config);
  const engines = made.map(({ engine }) => engine);
  const models = await makeModels(config, ownModel(config, made));
  const [tcpKey, httpToken] = [readTcpKey(config), readHttpToken(config)];
  const observed = await openObservability(config, process.env);
  const state = await openState(config);
  const log = createActivityLog({ directory: resolveLogDirectory(config.log_dir, process.env) });
  const plane = await openPlane(config, log);
  return new Daemon({ config, paths, lock, log, engines, models, tcpKey, httpToken, state, plane, observed });
}

/** The service plane, where the configuration asks for it; its code is loaded only then. */
async function openPlane({ services }: Config, log: ActivityLog): Promise<ServicePlane | undefined> {
  if (services === undefined) return undefined;
  const { makeServicePlane } = await import('./open-plane.js');
  return makeServicePlane(services, (level, component, event) => log.record(level, component, event));
}

/** The model that makes room when somebody switches to another: the one of `model`, and none of `backends`. */
function ownModel(config: Config, [made]: readonly MadeEngine[]): Required<MadeEngine> | undefined {
  if (config.backends !== undefined || made?.source === undefined) return undefined;
  return { engine: made.engine, source: made.source };
}

/** An engine, and the model's file where it has one. */
interface MadeEngine {
  readonly engine: Engine;
  readonly source?: ModelSource;
}

async function makeEngines(config: Config): Promise<readonly MadeEngine[]> {
  const backends = backendsOf(config);
  const engines = await Promise.all(backends.map(async (backend) => makeEngine(backend, config)));
  const names = new Set(engines.map(({ engine }) => engine.name));
  if (names.size === engines.length) return engines;
  const key = config.backends === undefined ? 'mock' : 'backends';
  throw new StartupError('config', `configuration: ${key}: names must be unique`);
}

async function makeEngine(backend: BackendConfig | LlamaBackend, config: Config): Promise<MadeEngine> {
  switch (backend.kind) {
    case 'mock':
      return { engine: makeMockEngine(backend) };
    case 'openai-compat': {
      const { makeRemoteEngine } = await import('./open-remote.js');
      return { engine: makeRemoteEngine(backend, process.env) };
    }
    case 'llama':
      return makeLlamaEngine(backend, config);
  }
}

/** A model or mocks alone are a list like any other (row 82). */
function backendsOf(config: Config): readonly (BackendConfig | LlamaBackend)[] {
  if (config.backends !== undefined) return config.backends;
  if (config.engine === 'llama')
    return [
      {
        kind: 'llama',
        model: config.model,
        sha256: config.model_sha256,
        context_size: config.context_size,
      },
    ];
  const mocks = Array.isArray(config.mock) ? config.mock : [config.mock ?? {}];
  return mocks.map((mock) => ({ kind: 'mock', ...mock }));
}

interface LlamaBackend {
  readonly kind: 'llama';
  readonly name?: string | undefined;
  /** Undefined: the embedded one. */
  readonly model?: string | undefined;
  readonly sha256?: string | undefined;
  readonly context_size?: number | undefined;
}

async function makeLlamaEngine(backend: LlamaBackend, config: Config): Promise<MadeEngine> {
  const found = await resolveModel(backend.model);
  const source = backend.sha256 === undefined ? found : { ...found, sha256: backend.sha256 };
  const make = await llamaMaker(config);
  const engine = make({ source, name: backend.name, contextSize: backend.context_size });
  return { engine, source };
}

function makeMockEngine(mock: MockConfig): Engine {
  return new MockEngine({
    document: mock.document,
    midStreamDropAfter: mock.mid_stream_drop_after,
    preStreamError: mock.pre_stream_error,
    ...(mock.tokens === undefined ? {} : { tokens: mock.tokens }),
    ...(mock.token_delay_ms === undefined ? {} : { tokenDelayMs: mock.token_delay_ms }),
    ...(mock.ready_after_ms === undefined ? {} : { readyAfterMs: mock.ready_after_ms }),
    ...(mock.name === undefined ? {} : { name: mock.name }),
    ...(mock.script === undefined ? {} : { script: mock.script }),
    ...(mock.capabilities === undefined ? {} : { capabilities: capabilitiesOf(mock.capabilities) }),
  });
}

function capabilitiesOf(named: readonly (keyof EngineCapabilities)[]): EngineCapabilities {
  const can = (name: keyof EngineCapabilities): boolean => named.includes(name);
  return {
    generate: can('generate'),
    embed: can('embed'),
    rerank: can('rerank'),
    tokenize: can('tokenize'),
    vision: can('vision'),
    tools: can('tools'),
    thinking: can('thinking'),
    infill: can('infill'),
  };
}

/** The configuration names an environment variable; it never holds the key itself (row 83). */
function readTcpKey(config: Config): string | undefined {
  return config.tcp_key_env === undefined ? undefined : readSecret('tcp_key_env', config.tcp_key_env);
}

/** The gateway's token where somebody chose one; undefined: it makes its own. */
function readHttpToken({ http }: Config): string | undefined {
  if (http === undefined) return undefined;
  if (http.token_env !== undefined) return readSecret('http.token_env', http.token_env);
  const token = process.env[defaultTokenVariable];
  return token === '' ? undefined : token;
}

function readSecret(key: string, variable: string): string {
  const secret = process.env[variable];
  if (secret !== undefined && secret !== '') return secret;
  throw new StartupError('config', `configuration: ${key}: the variable ${variable} is not set`);
}
