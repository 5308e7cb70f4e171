import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { chmod, lstat, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { errorCode, StartupError } from './startup-error.js';

/**
 * Where a daemon keeps its lock and its sockets. Whoever can write there could put a socket of their own in
 * the daemon's place, so the directory must belong to the user and admit nobody else.
 */

/**
 * Longest path of a Unix socket in bytes. `sun_path` holds 104 bytes on macOS and 108 on Linux, its closing
 * zero included; one bound for both, so that a setup moves from one to the other.
 */
export const maxSocketPathBytes = 103;

export interface RuntimeDirectoryOptions {
  /** What the person asked for, such as `--runtime-dir`. Empty counts as absent. */
  readonly explicit?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  /** The user's number; undefined where the platform has none. */
  readonly uid: number | undefined;
}

/**
 * The runtime directory (row 41): explicit, else `$XDG_RUNTIME_DIR/hearth`, else `$HOME/.hearth/run`, else
 * `/tmp/hearth-<uid>`. On macOS `$TMPDIR/hearth` comes before the last three, because it is private to the user
 * there; on Windows it is `%LOCALAPPDATA%\hearth\run`, else the same below the profile, and holds the lock
 * alone, since pipes have no directory. An empty variable counts as unset. Touches nothing.
 *
 * @returns an absolute path
 */
export function resolveRuntimeDirectory(options: RuntimeDirectoryOptions): string {
  const { env, platform } = options;
  const paths = platform === 'win32' ? path.win32 : path.posix;
  const explicit = present(options.explicit);
  if (explicit !== undefined) return path.resolve(explicit);

  const temporary = present(env['TMPDIR']);
  if (platform === 'darwin' && temporary !== undefined) return paths.resolve(temporary, 'hearth');

  if (platform === 'win32') {
    const local = present(env['LOCALAPPDATA']);
    if (local !== undefined) return paths.resolve(local, 'hearth', 'run');
    const profile = present(env['USERPROFILE']);
    if (profile !== undefined) return paths.resolve(profile, '.hearth', 'run');
    throw new StartupError(
      'runtime_directory',
      'Neither LOCALAPPDATA nor USERPROFILE is set, so there is no place for the lock. Give one with --runtime-dir.',
    );
  }

  const runtime = present(env['XDG_RUNTIME_DIR']);
  if (runtime !== undefined) return paths.resolve(runtime, 'hearth');
  const home = present(env['HOME']);
  if (home !== undefined) return paths.resolve(home, '.hearth', 'run');
  return `/tmp/hearth-${options.uid ?? 0}`;
}

/** What lies in a runtime directory. */
export interface RuntimePaths {
  readonly directory: string;
  readonly lock: string;
  /** The inference socket, or the name of its pipe on Windows. */
  readonly inference: string;
  /** The admin socket, or the name of its pipe on Windows. */
  readonly admin: string;
  /** The socket of the JSON-RPC protocol, or the name of its pipe on Windows. */
  readonly rpc: string;
}

/**
 * The names in a runtime directory: `hearth.lock`, `hearth.sock`, `admin.sock` and `rpc.sock`. On Windows the
 * sockets are the pipes `\\.\pipe\hearth-<hash>`, `hearth-admin-<hash>` and `hearth-rpc-<hash>`, where the hash stands
 * for the directory and through it for the user (`npm run test:windows`).
 */
export function runtimePaths(directory: string, platform: NodeJS.Platform): RuntimePaths {
  if (platform === 'win32') {
    const hash = createHash('sha256').update(directory.toLowerCase()).digest('hex').slice(0, 16);
    return {
      directory,
      lock: path.win32.join(directory, 'hearth.lock'),
      inference: `\\\\.\\pipe\\hearth-${hash}`,
      admin: `\\\\.\\pipe\\hearth-admin-${hash}`,
      rpc: `\\\\.\\pipe\\hearth-rpc-${hash}`,
    };
  }
  return {
    directory,
    lock: path.posix.join(directory, 'hearth.lock'),
    inference: path.posix.join(directory, 'hearth.sock'),
    admin: path.posix.join(directory, 'admin.sock'),
    rpc: path.posix.join(directory, 'rpc.sock'),
  };
}

/**
 * Makes the directory where it is missing, mode 0700, and checks it where it exists: a directory and no symbolic
 * link, ours, closed to group and others. One that others can only read is closed; one that others can write to is
 * refused, since whoever could write there may have been there already.
 *
 * @param uid the user's number, {@link process.getuid}; undefined skips the checks of owner and mode (Windows)
 * @throws StartupError `runtime_directory` or `path_too_long`, with the command that mends it
 */
export async function prepareRuntimeDirectory(paths: RuntimePaths, uid: number | undefined): Promise<void> {
  checkSocketPathLength(paths);
  const { directory } = paths;
  if ((await lstatIfPresent(directory)) === undefined) await create(directory);

  const found = await lstatIfPresent(directory);
  if (found === undefined) {
    throw refuse(`The runtime directory ${directory} vanished while Hearth started. Start it again.`);
  }
  if (found.isSymbolicLink()) {
    throw refuse(
      `The runtime directory ${directory} is a symbolic link. Remove it, or give the directory itself with --runtime-dir.`,
    );
  }
  if (!found.isDirectory()) {
    throw refuse(`${directory} is not a directory. Remove it, or choose another with --runtime-dir.`);
  }
  if (uid === undefined) return;
  if (found.uid !== uid) {
    throw refuse(
      `The runtime directory ${directory} belongs to another user. Choose another with --runtime-dir.`,
    );
  }
  if ((found.mode & 0o022) !== 0) {
    const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
    throw refuse(
      `The runtime directory ${directory} can be written to by other users (mode ${mode}). Look at what is in it, then close it: ` +
        `chmod 700 '${directory}'`,
    );
  }
  if ((found.mode & 0o077) !== 0) await chmod(directory, 0o700);
}

function checkSocketPathLength(paths: RuntimePaths): void {
  const longest = [paths.inference, paths.admin, paths.rpc].find(
    (socket) => Buffer.byteLength(socket) > maxSocketPathBytes,
  );
  if (longest === undefined) return;
  throw new StartupError(
    'path_too_long',
    `The path of the socket, ${longest}, is ${Buffer.byteLength(longest)} bytes long; the kernel takes ` +
      `${maxSocketPathBytes}. Choose a shorter directory with --runtime-dir.`,
  );
}

async function create(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new StartupError(
      'runtime_directory',
      `The runtime directory ${directory} cannot be made (${errorCode(error) ?? 'unknown error'}). ` +
        'Choose another with --runtime-dir.',
      { cause: error },
    );
  }
}

async function lstatIfPresent(target: string): Promise<Stats | undefined> {
  try {
    return await lstat(target);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw new StartupError(
      'runtime_directory',
      `The runtime directory ${target} cannot be looked at (${errorCode(error) ?? 'unknown error'}). ` +
        'Choose another with --runtime-dir.',
      { cause: error },
    );
  }
}

function refuse(message: string): StartupError {
  return new StartupError('runtime_directory', message);
}

function present(value: string | undefined): string | undefined {
  return value === undefined || value === '' ? undefined : value;
}
