import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { errorCode, StartupError } from '../lock/startup-error.js';

/**
 * Where the configuration file lies and what it says, before anything of it is checked. Light on purpose: a relay
 * needs no more than this.
 */

/** Values of one source, not yet checked. */
export type ConfigInput = Readonly<Record<string, unknown>>;

/** A configuration file, by whoever chose it. */
export interface ConfigPlace {
  readonly file: string;
  /** Somebody named it: then it must be there, and is never made. */
  readonly isExplicit: boolean;
}

/**
 * `--config`, else `$HEARTH_CONFIG`, else `~/.hearth/config.json`. An empty variable counts as unset. Undefined where
 * there is no home either.
 */
export function findConfigFile(flag: string | undefined, env: NodeJS.ProcessEnv): ConfigPlace | undefined {
  const chosen = flag ?? present(env['HEARTH_CONFIG']);
  if (chosen !== undefined) return { file: path.resolve(chosen), isExplicit: true };
  const home = present(process.platform === 'win32' ? env['USERPROFILE'] : env['HOME']);
  if (home === undefined) return undefined;
  return { file: path.join(home, '.hearth', 'config.json'), isExplicit: false };
}

/**
 * What the file says; undefined where the default file is missing.
 *
 * @throws StartupError `config` where it cannot be read, is no JSON object, or was named and is missing (row 85).
 */
export function readConfigFile(flag: string | undefined, env: NodeJS.ProcessEnv): ConfigInput | undefined {
  const place = findConfigFile(flag, env);
  if (place === undefined) return undefined;
  const { file } = place;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    const code = errorCode(cause);
    if (code === 'ENOENT' && !place.isExplicit) return undefined;
    const what = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code ?? 'unknown error'})`;
    throw new StartupError('config', `the configuration file ${file} ${what}`, { cause });
  }
  const value = parseJson(text, `the configuration file ${file}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new StartupError('config', `the configuration file ${file} must hold one JSON object`);
  }
  return { ...value };
}

/**
 * Writes the default file where it is missing (row 85); a file that was named is never made, and one that is there
 * never touched. Where it cannot be written, Hearth runs without.
 */
export function writeDefaultFile(
  flag: string | undefined,
  env: NodeJS.ProcessEnv,
  defaults: ConfigInput,
): void {
  const place = findConfigFile(flag, env);
  if (place === undefined || place.isExplicit) return;
  try {
    mkdirSync(path.dirname(place.file), { recursive: true, mode: 0o700 });
    writeFileSync(place.file, `${JSON.stringify(defaults, undefined, 2)}\n`, { flag: 'wx', mode: 0o600 });
  } catch {
    // A read-only home is no reason not to serve.
  }
}

/** @throws StartupError `config` that says what is no JSON. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new StartupError('config', `${what} is not valid JSON`, { cause });
  }
}

function present(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value;
}
