import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { proofBytes, secretPathFor } from '@hearth/protocol/node';
import type { KernelLock } from './kernel-lock.js';
import type { RuntimePaths } from './runtime-directory.js';
import { errorCode, StartupError } from './startup-error.js';

/** When both ends of a socket prove themselves: `auto`: where the kernel does not say who the peer is. */
export type SocketProof = 'auto' | 'always';

/**
 * Makes the secret of this start where one is needed, and removes that of an earlier start where none is. Clients
 * look for the file, so this comes before any socket is bound.
 *
 * @returns undefined where no proof is asked for
 * @throws StartupError `runtime_directory` where the file cannot be written
 */
export async function makeProofSecret(
  paths: RuntimePaths,
  lock: KernelLock,
  when: SocketProof,
  platform: NodeJS.Platform = process.platform,
): Promise<Buffer | undefined> {
  if (!lock.held) throw new Error('makeProofSecret needs a lock that is held');
  const file = secretPathFor(paths.inference, platform);
  try {
    if (when === 'auto' && platform !== 'win32') {
      await rm(file, { force: true });
      return undefined;
    }
    const secret = randomBytes(proofBytes);
    const fresh = `${file}.${process.pid}`;
    await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
    await rm(fresh, { force: true });
    await writeFile(fresh, secret.toString('hex'), { mode: 0o600, flag: 'wx' });
    await rename(fresh, file);
    return secret;
  } catch (error) {
    throw new StartupError(
      'runtime_directory',
      `The secret for the sockets cannot be written (${errorCode(error) ?? 'unknown error'}). Choose another directory with --runtime-dir.`,
      { cause: error },
    );
  }
}

/** Removes the secret. Call while the lock is held. */
export async function removeProofSecret(paths: RuntimePaths): Promise<void> {
  await rm(secretPathFor(paths.inference), { force: true });
}
