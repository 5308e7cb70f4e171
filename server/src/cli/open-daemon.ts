import type { Config, MockConfig } from '../config/config.js';
import { Daemon } from '../daemon.js';
import type { Engine } from '../engine/engine.js';
import { MockEngine } from '../engine/mock/mock-engine.js';
import { createActivityLog, resolveLogDirectory } from '../events/activity-log.js';
import { KernelLock } from '../lock/kernel-lock.js';
import {
  prepareRuntimeDirectory,
  resolveRuntimeDirectory,
  type RuntimePaths,
  runtimePaths,
} from '../lock/runtime-directory.js';
import { StartupError } from '../lock/startup-error.js';
import { resolveModel } from '../models/resolve-model.js';

/** Where a command finds the daemon, from `--runtime-dir` and the environment. */
export function findPaths(runtimeDir: string | undefined): RuntimePaths {
  const env = process.env;
  const { platform } = process;
  const explicit = runtimeDir ?? env['HEARTH_RUNTIME_DIR'];
  const directory = resolveRuntimeDirectory({ explicit, env, platform, uid: process.getuid?.() });
  return runtimePaths(directory, platform);
}

/** Makes the runtime directory ready and takes its lock. @throws StartupError `lock_held` where another holds it. */
export async function takeLock(paths: RuntimePaths): Promise<KernelLock> {
  await prepareRuntimeDirectory(paths, process.getuid?.());
  return KernelLock.acquire(paths.lock);
}

/**
 * Puts a daemon together from its configuration. The lock is held: it comes before everything else.
 *
 * @throws StartupError `config`, @throws HearthError `model_not_found`.
 */
export async function makeDaemon(config: Config, paths: RuntimePaths, lock: KernelLock): Promise<Daemon> {
  return new Daemon({
    config,
    paths,
    lock,
    log: createActivityLog({ directory: resolveLogDirectory(config.log_dir, process.env) }),
    engines: await makeEngines(config),
    tcpKey: readTcpKey(config),
  });
}

async function makeEngines(config: Config): Promise<readonly Engine[]> {
  if (config.engine === 'llama') return [await makeLlamaEngine(config)];
  const mocks = Array.isArray(config.mock) ? config.mock : [config.mock ?? {}];
  const engines = mocks.map(makeMockEngine);
  const names = new Set(engines.map((engine) => engine.name));
  if (names.size < engines.length)
    throw new StartupError('config', 'configuration: mock: names must be unique');
  return engines;
}

async function makeLlamaEngine(config: Config): Promise<Engine> {
  const source = await resolveModel(config.model);
  const { LlamaEngine } = await import('../engine/llama/llama-engine.js');
  return new LlamaEngine({
    source,
    sequences: config.active_permits,
    ...(config.context_size === undefined ? {} : { contextSize: config.context_size }),
  });
}

function makeMockEngine(mock: MockConfig): Engine {
  return new MockEngine({
    midStreamDropAfter: mock.mid_stream_drop_after,
    preStreamError: mock.pre_stream_error,
    ...(mock.tokens === undefined ? {} : { tokens: mock.tokens }),
    ...(mock.token_delay_ms === undefined ? {} : { tokenDelayMs: mock.token_delay_ms }),
    ...(mock.ready_after_ms === undefined ? {} : { readyAfterMs: mock.ready_after_ms }),
    ...(mock.name === undefined ? {} : { name: mock.name }),
  });
}

/** The configuration names an environment variable; it never holds the key itself (row 83). */
function readTcpKey(config: Config): string | undefined {
  if (config.tcp_key_env === undefined) return undefined;
  const key = process.env[config.tcp_key_env];
  if (key === undefined || key === '') {
    throw new StartupError(
      'config',
      `configuration: tcp_key_env: the variable ${config.tcp_key_env} is not set`,
    );
  }
  return key;
}
