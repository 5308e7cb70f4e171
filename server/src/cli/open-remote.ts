import type { RemoteBackendConfig } from '../config/remote-backend.js';
import { isLoopback, RemoteEngine } from '../engine/remote/remote-engine.js';
import { StartupError } from '../lock/startup-error.js';

/**
 * A remote service as an engine, with its key from the environment.
 *
 * @throws StartupError `config` where the named variable is missing (by name only, row 83), and where a key would cross
 *   a network in clear.
 */
export function makeRemoteEngine(backend: RemoteBackendConfig, env: NodeJS.ProcessEnv): RemoteEngine {
  const baseUrl = new URL(backend.base_url);
  const apiKey = readKey(backend.api_key_env, env);
  if (apiKey !== undefined && apiKey !== '' && baseUrl.protocol === 'http:' && !isLoopback(baseUrl)) {
    throw new StartupError(
      'config',
      'configuration: backends: base_url: a key would go over the network in clear; use https',
    );
  }
  return new RemoteEngine({
    baseUrl,
    apiKey,
    model: backend.model,
    timeoutMs: backend.timeout_secs * 1000,
    contextSize: backend.context_size,
    infill: backend.infill,
    vision: backend.vision,
    extensions: backend.extensions,
    ...(backend.name === undefined ? {} : { name: backend.name }),
  });
}

/** A variable that is set and empty means: no key. */
function readKey(variable: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  if (variable === undefined) return undefined;
  const key = env[variable];
  if (key === undefined)
    throw new StartupError(
      'config',
      `configuration: backends: api_key_env: the variable ${variable} is not set`,
    );
  // Such a key cannot stand in a header; it is not shown.
  if (!/^[\x21-\x7e]*$/.test(key))
    throw new StartupError(
      'config',
      `configuration: backends: api_key_env: ${variable} holds no bearer token`,
    );
  return key;
}
