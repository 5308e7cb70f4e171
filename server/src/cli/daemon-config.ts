import { readFileSync } from 'node:fs';
import { type Config, type ConfigInput, configFromEnvironment, resolveConfig } from '../config/config.js';
import { StartupError } from '../lock/startup-error.js';
import type { DaemonFlags } from './program.js';

/**
 * The configuration that a command line asks for: its flags over the environment over its file.
 *
 * @throws StartupError `config` that names everything that is wrong.
 */
export function daemonConfig(flags: DaemonFlags, env: NodeJS.ProcessEnv): Config {
  const { config: file, mock, ...rest } = flags;
  const fromFlags: Record<string, unknown> = {};
  for (const [flag, value] of Object.entries(rest)) fromFlags[toSnakeCase(flag)] = value;
  if (mock !== undefined) fromFlags['mock'] = parseJson(mock, '--mock');
  const sources: ConfigInput[] = [fromFlags, configFromEnvironment(env)];
  if (file !== undefined) sources.push(readConfigFile(file));
  return resolveConfig(...sources);
}

function readConfigFile(file: string): ConfigInput {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new StartupError('config', `the configuration file ${file} cannot be read`, { cause });
  }
  const value = parseJson(text, `the configuration file ${file}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new StartupError('config', `the configuration file ${file} must hold one JSON object`);
  }
  return { ...value };
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new StartupError('config', `${what} is not valid JSON`, { cause });
  }
}

/** `activePermits` as the file spells it: `active_permits`. */
function toSnakeCase(flag: string): string {
  return flag.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
