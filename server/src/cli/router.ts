import { readFileSync } from 'node:fs';
import { errorCode, StartupError } from '../lock/startup-error.js';
import type { Balance } from '../service-router/choose.js';
import { ServiceRouter } from '../service-router/service-router.js';
import { parseStaticServices } from '../service-router/static-services.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { reportFault, serviceAddress, tokenOf, untilAborted } from './registry.js';
import { onInterrupt } from './signals.js';

/** The flags of `hearth router`: InfiniLM-SVC's, and ours. */
export interface RouterFlags {
  readonly routerPort: number;
  readonly host: string;
  readonly registryUrl?: string;
  readonly staticServices?: string;
  readonly healthInterval: number;
  readonly healthTimeout: number;
  readonly maxErrors: number;
  readonly registrySyncInterval: number;
  readonly serviceRemovalGracePeriod: number;
  readonly balance: Balance;
  readonly sessionAffinity: 'key' | 'client' | 'off';
  readonly trustForwardedFor?: true;
  readonly idleTimeout: number;
  readonly bodyLimitBytes: number;
  readonly tokenEnv?: string;
  readonly registryTokenEnv?: string;
}

/** `hearth router`: passes requests on, until a signal ends it; requests that run are let finish. */
export async function routerCommand(flags: RouterFlags): Promise<ExitCode> {
  const interrupted = onInterrupt();
  const { registryUrl, staticServices } = flags;
  if (registryUrl !== undefined && !/^https?:\/\/[^/]/.test(registryUrl))
    throw new StartupError('config', '--registry-url: give an http or https URL');
  const router = new ServiceRouter({
    address: serviceAddress(flags.host, flags.routerPort),
    registryUrl,
    staticServices: staticServices === undefined ? [] : readStatic(staticServices),
    healthInterval: flags.healthInterval,
    healthTimeout: flags.healthTimeout,
    maxErrors: flags.maxErrors,
    registrySyncInterval: flags.registrySyncInterval,
    removalGracePeriod: flags.serviceRemovalGracePeriod,
    proxyTimeout: numberFrom('PROXY_TIMEOUT_SECONDS', 1800),
    sizeThreshold: numberFrom('CACHE_TYPE_ROUTING_THRESHOLD', 51_200),
    idleTimeout: flags.idleTimeout,
    balance: flags.balance,
    affinity: flags.sessionAffinity,
    trustForwardedFor: flags.trustForwardedFor ?? false,
    bodyLimit: flags.bodyLimitBytes,
    token: tokenOf(flags.tokenEnv),
    registryToken: tokenOf(flags.registryTokenEnv),
    onFault: reportFault,
  });
  await router.start();
  process.stdout.write(`hearth: router on ${router.url}\n`);
  await untilAborted(interrupted);
  await router.close();
  return exitCodes.ok;
}

/** @throws StartupError `config` */
export function readStatic(file: string) {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const code = errorCode(cause) ?? 'unknown error';
    throw new StartupError('config', `the file of static services ${file} cannot be read (${code})`, {
      cause,
    });
  }
  return parseStaticServices(text);
}

/** A number that the environment sets, as InfiniLM-SVC has it. @throws StartupError `config` */
function numberFrom(variable: string, fallback: number): number {
  const text = process.env[variable];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (value > 0 && value <= 1e9) return value;
  throw new StartupError('config', `${variable} must be a number above 0`);
}
