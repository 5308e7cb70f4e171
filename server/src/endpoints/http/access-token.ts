import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, StartupError } from '../../lock/startup-error.js';

/** The token that clients of the gateway show. */
export interface AccessToken {
  readonly secret: string;
  /** Where a client finds it; undefined where it came from the environment, which is where it stays. */
  readonly file: string | undefined;
  /** Removes the file. Never rejects. */
  forget(): Promise<void>;
}

/** Shortest token that is taken from outside, in characters. */
const shortest = 16;

/** The file's name in the runtime directory. */
export const tokenFileName = 'http-token';

/**
 * A token that somebody has chosen, as the value of an environment variable.
 *
 * @throws StartupError `config` where it is too short to be a secret, or cannot stand in a header.
 */
export function chosenToken(secret: string): AccessToken {
  if (secret.length < shortest || !/^[\x21-\x7e]+$/.test(secret)) {
    throw new StartupError(
      'config',
      `the HTTP token must be at least ${shortest} printable characters without spaces, such as from \`openssl rand -hex 32\``,
    );
  }
  return { secret, file: undefined, forget: () => Promise.resolve() };
}

/**
 * A token of 256 bits, new at every start, in a file of mode 0600. The file appears whole or not at all.
 *
 * @param directory the runtime directory, which admits nobody else
 * @throws StartupError `bind_failed` where the file cannot be written.
 */
export async function makeToken(directory: string): Promise<AccessToken> {
  const secret = randomBytes(32).toString('base64url');
  const file = path.join(directory, tokenFileName);
  const draft = `${file}.new`;
  try {
    await rm(draft, { force: true });
    const handle = await open(draft, 'wx', 0o600);
    try {
      await handle.writeFile(`${secret}\n`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
  } catch (cause) {
    const code = errorCode(cause) ?? 'unknown error';
    throw new StartupError('bind_failed', `Hearth cannot write the HTTP token to ${file} (${code}).`, {
      cause,
    });
  }
  return { secret, file, forget: () => rm(file, { force: true }).catch(() => undefined) };
}
