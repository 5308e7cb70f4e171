import { type Config, configFromEnvironment, defaultFileContent, resolveConfig } from '../config/config.js';
import { withHttpFlags } from '../config/http-config.js';
import { parseJson, readConfigFile, writeDefaultFile } from '../config/config-file.js';
import type { DaemonFlags } from './program.js';

/**
 * The configuration that a command line asks for: its flags over the environment over its file.
 *
 * @throws StartupError `config` that names everything that is wrong.
 */
export function daemonConfig(flags: DaemonFlags, env: NodeJS.ProcessEnv): Config {
  const { config: file, mock, http, httpAllowRemote, ...rest } = flags;
  const fromFile = readConfigFile(file, env) ?? {};
  const fromFlags: Record<string, unknown> = {};
  for (const [flag, value] of Object.entries(rest)) fromFlags[toSnakeCase(flag)] = value;
  if (mock !== undefined) fromFlags['mock'] = parseJson(mock, '--mock');
  fromFlags['http'] = withHttpFlags(fromFile['http'], http, httpAllowRemote);
  return resolveConfig(fromFlags, configFromEnvironment(env), fromFile);
}

/** Writes the default configuration file at the first start of a daemon (row 85). */
export function writeFirstConfig(flags: DaemonFlags, env: NodeJS.ProcessEnv): void {
  writeDefaultFile(flags.config, env, defaultFileContent());
}

/** `activePermits` as the file spells it: `active_permits`. */
function toSnakeCase(flag: string): string {
  return flag.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
