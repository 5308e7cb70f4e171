import type { ServicesConfig } from '../config/services-config.js';
import { parseTcpAddress } from '../lock/bind-tcp.js';
import { StartupError } from '../lock/startup-error.js';
import type { RecordActivity } from '../record-activity.js';
import { type RegistryServer, serveRegistry } from '../registry/registry-server.js';
import { ServiceRouter } from '../service-router/service-router.js';
import { Babysitter } from '../supervisor/babysitter.js';
import { checkBabysitterConfig } from '../supervisor/babysitter-config.js';
import { readBabysitterFile } from './babysit.js';
import { tokenOf } from './registry.js';
import { readStatic } from './router.js';

/** The service plane as a part of the daemon. */
export interface ServicePlane {
  /** Resolves when everything listens and every service has been started; none need be ready. @throws StartupError */
  start(): Promise<void>;
  /** Ends routers, services and registry, in that order. */
  close(): Promise<void>;
}

/**
 * Puts together the parts that the configuration names: the same registry, babysitters and router that run as processes
 * of their own (`hearth registry`, `hearth babysit`, `hearth router`), on loopback ports of the daemon.
 *
 * @throws StartupError `config`, `bad_address`
 */
export function makeServicePlane(config: ServicesConfig, record: RecordActivity): ServicePlane {
  const token = tokenOf(config.token_env);
  const registryAt = config.registry === undefined ? undefined : parseTcpAddress(config.registry);
  const routerAt = config.router === undefined ? undefined : parseTcpAddress(config.router);
  if (registryAt !== undefined && config.registry_url !== undefined)
    throw new StartupError('config', 'configuration: services: give registry or registry_url, not both');
  const sitters = config.babysitters.map((file) => checkBabysitterConfig(readBabysitterFile(file)));
  const fixed = config.static_services === undefined ? [] : readStatic(config.static_services);
  const onFault = (error: unknown): void => {
    // The name only: a message may hold anything.
    record('error', 'services', {
      msg: 'internal_error',
      where: 'service plane',
      error: error instanceof Error ? error.name : typeof error,
    });
  };

  let registry: RegistryServer | undefined;
  let router: ServiceRouter | undefined;
  const babysitters: Babysitter[] = [];
  return {
    start: async () => {
      if (registryAt !== undefined) {
        const healthIntervalSecs = config.health_interval_secs;
        registry = await serveRegistry({ address: registryAt, token, healthIntervalSecs, onFault });
      }
      const registryUrl = registry?.http.url ?? config.registry_url;
      for (const sitter of sitters) {
        const babysitter = new Babysitter({
          config: { ...sitter, registry_url: sitter.registry_url ?? registryUrl },
          env: process.env,
          registryToken: tokenOf(sitter.registry_token_env) ?? token,
          // Standard error of a sidecar is the editor's; what services print may hold prompts.
          output: 'ignore',
          onState: (state) => {
            const isBad =
              state.kind === 'restarting' || state.kind === 'given_up' || state.kind === 'unresponsive';
            record(isBad ? 'warn' : 'info', 'services', {
              msg: 'backend_state',
              backend: sitter.name,
              state: state.kind,
              ...('reason' in state ? { reason: state.reason } : {}),
            });
          },
          onFault,
        });
        babysitters.push(babysitter);
        await babysitter.start();
      }
      if (routerAt === undefined) return;
      router = new ServiceRouter({
        address: routerAt,
        registryUrl,
        staticServices: fixed,
        healthInterval: config.health_interval_secs,
        removalGracePeriod: config.removal_grace_secs,
        balance: config.balance,
        affinity: config.session_affinity,
        token,
        registryToken: token,
        onFault,
      });
      await router.start();
    },
    close: async () => {
      await router?.close(1000);
      await Promise.all(babysitters.map((babysitter) => babysitter.close()));
      await registry?.close();
    },
  };
}
