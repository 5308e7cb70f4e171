import os from 'node:os';
import path from 'node:path';

/** Names the environment variable that moves the store, as for a second disk. */
export const modelsHomeVariable = 'HEARTH_MODELS_HOME';

/**
 * Where models are kept: `$HEARTH_MODELS_HOME`, else `~/.hearth/models`. One store serves every Hearth of a user.
 * A relative path in the variable is taken from the home directory, so that the working directory decides nothing.
 */
export function modelsHome(env: NodeJS.ProcessEnv, home: string = env['HOME'] ?? os.homedir()): string {
  const set = env[modelsHomeVariable];
  if (set === undefined || set === '') return path.join(home, '.hearth', 'models');
  return path.resolve(home, set);
}
