import { readFileSync } from 'node:fs';
import { errorCode, StartupError } from '../lock/startup-error.js';
import { Babysitter } from '../supervisor/babysitter.js';
import {
  type BabysitterConfig,
  type BabysitterInput,
  checkBabysitterConfig,
  parseToml,
} from '../supervisor/babysitter-config.js';
import { serveMock } from '../supervisor/mock-service.js';
import type { ServiceState } from '../supervisor/supervisor.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { reportFault, tokenOf, untilAborted } from './registry.js';
import { onInterrupt } from './signals.js';

/** The flags of `hearth babysit`: those of InfiniLM-SVC. */
export interface BabysitFlags {
  readonly configFile?: string;
  readonly name?: string;
  readonly host?: string;
  readonly port?: number;
  readonly serviceType?: string;
  readonly path?: string;
  readonly command?: string;
  readonly args?: string;
  readonly workDir?: string;
  readonly env?: readonly string[];
  readonly registryUrl?: string;
  readonly routerUrl?: string;
  readonly maxRestarts?: number;
  readonly restartDelay?: number;
  readonly heartbeatInterval?: number;
}

/** `hearth babysit`: one service, until a signal ends it or it cannot be kept running. */
export async function babysitCommand(flags: BabysitFlags): Promise<ExitCode> {
  const config = babysitterConfig(flags);
  const interrupted = onInterrupt();
  const babysitter = new Babysitter({
    config,
    env: process.env,
    registryToken: tokenOf(config.registry_token_env),
    output: 'inherit',
    onState: report,
    onFault: reportFault,
  });
  try {
    await babysitter.start();
    process.stdout.write(
      `hearth: babysitter of ${config.name} on http://${config.host}:${config.port + 1}\n`,
    );
    const outcome = await Promise.race([babysitter.over, untilAborted(interrupted)]);
    return outcome === 'given_up' ? exitCodes.notReady : exitCodes.ok;
  } finally {
    await babysitter.close();
  }
}

/** `hearth mock-service`: a service without a model, until a signal ends it. */
export async function mockServiceCommand(flags: {
  readonly name: string;
  readonly port: number;
  readonly models: string;
}): Promise<ExitCode> {
  const interrupted = onInterrupt();
  const server = await serveMock({ ...flags, models: flags.models.split(',') });
  process.stdout.write(`hearth: mock service ${flags.name} on ${server.url}: made-up answers, no model.\n`);
  await untilAborted(interrupted);
  await server.close();
  return exitCodes.ok;
}

/** @throws StartupError `config` */
export function readBabysitterFile(file: string): BabysitterInput {
  try {
    return parseToml(readFileSync(file, 'utf8'));
  } catch (cause) {
    if (cause instanceof StartupError) throw cause;
    const code = errorCode(cause) ?? 'unknown error';
    throw new StartupError('config', `the configuration file ${file} cannot be read (${code})`, { cause });
  }
}

/** The file, and flags over it. */
function babysitterConfig(flags: BabysitFlags): BabysitterConfig {
  const file = flags.configFile === undefined ? {} : readBabysitterFile(flags.configFile);
  const settings = {
    ...tableOf(file['babysitter']),
    ...defined({
      max_restarts: flags.maxRestarts,
      restart_delay: flags.restartDelay,
      heartbeat_interval: flags.heartbeatInterval,
    }),
  };
  return checkBabysitterConfig({
    ...file,
    ...defined({
      name: flags.name,
      host: flags.host,
      port: flags.port,
      registry_url: flags.registryUrl,
      router_url: flags.routerUrl,
    }),
    babysitter: settings,
    backend: backendInput(tableOf(file['backend']), flags),
  });
}

/** The backend of the file with what the flags say of it; `--path` means what the type makes of it. */
function backendInput(backend: BabysitterInput, flags: BabysitFlags): BabysitterInput {
  const type = flags.serviceType ?? (flags.command === undefined ? backend['type'] : 'command') ?? 'command';
  const named = typeof type === 'string' ? type.toLowerCase() : '';
  const words = flags.args?.split(/\s+/).filter((word) => word !== '');
  const pathKey = pathKeys[named];
  return {
    ...backend,
    type: named,
    ...defined({ command: flags.command, work_dir: flags.workDir }),
    ...(flags.path === undefined || pathKey === undefined ? {} : { [pathKey]: flags.path }),
    ...(words === undefined
      ? {}
      : named === 'mock'
        ? { models: words.join(',').split(',') }
        : { args: words }),
    ...(flags.env === undefined ? {} : { env: { ...tableOf(backend['env']), ...pairs(flags.env) } }),
  };
}

const pathKeys: Readonly<Record<string, string>> = {
  command: 'command',
  vllm: 'model',
  infinilm: 'model_path',
  'infinilm-rust': 'config_file',
  'llama-server': 'model_path',
};

/** @throws StartupError `config`; the text may hold a secret and is not shown. */
function pairs(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const mark = text.indexOf('=');
      if (mark <= 0) throw new StartupError('config', '--env: write NAME=value');
      return [text.slice(0, mark), text.slice(mark + 1)];
    }),
  );
}

function tableOf(value: unknown): BabysitterInput {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function defined(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function report(state: ServiceState): void {
  const reason = 'reason' in state ? `: ${state.reason}` : '';
  const when = state.kind === 'restarting' ? `, restart ${state.attempt} in ${state.delayMs / 1000} s` : '';
  process.stdout.write(`hearth: service ${state.kind}${reason}${when}\n`);
}
