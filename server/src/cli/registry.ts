import { parseTcpAddress, type TcpAddress } from '../lock/bind-tcp.js';
import { StartupError } from '../lock/startup-error.js';
import { serveRegistry } from '../registry/registry-server.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { onInterrupt } from './signals.js';

/** The flags of `hearth registry`: InfiniLM-SVC's, and where to listen. */
export interface RegistryFlags {
  readonly port: number;
  readonly host: string;
  readonly healthInterval: number;
  readonly healthTimeout: number;
  readonly cleanupInterval: number;
  readonly tokenEnv?: string;
}

/** `hearth registry`: the list of services, until a signal ends it. */
export async function registryCommand(flags: RegistryFlags): Promise<ExitCode> {
  const interrupted = onInterrupt();
  const server = await serveRegistry({
    address: serviceAddress(flags.host, flags.port),
    token: tokenOf(flags.tokenEnv),
    healthIntervalSecs: flags.healthInterval,
    healthTimeoutSecs: flags.healthTimeout,
    cleanupIntervalSecs: flags.cleanupInterval,
    onFault: reportFault,
  });
  process.stdout.write(`hearth: registry on ${server.http.url}\n`);
  await untilAborted(interrupted);
  await server.close();
  return exitCodes.ok;
}

/** Host and port of a service as an address to listen on. @throws StartupError `bad_address` */
export function serviceAddress(host: string, port: number): TcpAddress {
  return parseTcpAddress(`${host.includes(':') ? `[${host}]` : host}:${port}`);
}

/** The token that an environment variable holds; undefined where none is named. @throws StartupError `config` */
export function tokenOf(variable: string | undefined): string | undefined {
  if (variable === undefined) return undefined;
  const token = process.env[variable];
  if (token === undefined || token.length < 16)
    throw new StartupError('config', `--token-env: ${variable} holds no token of at least 16 characters`);
  return token;
}

/** A fault of ours, told by its kind alone: its message may hold anything. */
export function reportFault(error: unknown): void {
  process.stderr.write(
    `hearth: a request failed inside: ${error instanceof Error ? error.name : 'unknown'}\n`,
  );
}

export function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
