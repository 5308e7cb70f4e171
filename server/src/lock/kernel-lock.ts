import fs from 'node:fs';
import { createRequire } from 'node:module';
import { errorCode, StartupError } from './startup-error.js';

/**
 * The single-instance lock: an advisory lock of the kernel on a file that is never deleted. The kernel frees it
 * when its holder dies, however it dies, so that a stale lock cannot exist; and a file that stays cannot be
 * locked by two processes under one name.
 *
 * Node has no such call, so the lock comes from fs-native-extensions: open file description locks on Linux,
 * flock on macOS, LockFileEx on Windows. All of them are tied to the open file, which Node opens close-on-exec:
 * child processes do not inherit the lock.
 */

/**
 * The byte that is locked. It lies far beyond the content, because LockFileEx is mandatory: a lock over the whole
 * file would hide the holder's number from whoever wants to read it.
 */
const lockOffset = 0x4000_0000;

/** How often the file may be replaced under us before we give up. */
const maxReplacements = 8;

/** A lock that is held. Whoever has this object may touch what the lock guards. */
export class KernelLock {
  readonly path: string;
  #descriptor: number | undefined;

  private constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  /** False once it has been released. */
  get held(): boolean {
    return this.#descriptor !== undefined;
  }

  /**
   * Takes the lock, or fails at once. It is synchronous: it comes before everything else, when there is nothing
   * yet to wait for. The holder's process number is written into the file for people to read; nothing is ever
   * decided by it.
   *
   * @param path of the lock file, made with mode 0600 where it is missing
   * @param options shared: held together with others that want it shared too, and with none that does not
   * @throws StartupError `lock_held` (naming the path and, where it can be read, the holder's process),
   *   `lock_unsafe` (a symbolic link, a directory, another user's file: left as it is) or `lock_unavailable`
   */
  static acquire(path: string, { shared = false }: { readonly shared?: boolean } = {}): KernelLock {
    const tryLock = loadTryLock();
    for (let attempt = 0; attempt < maxReplacements; attempt += 1) {
      const descriptor = openLockFile(path);
      try {
        if (!take(tryLock, descriptor, path, shared)) throw heldError(path, descriptor);
        // Somebody may have put another file at the path between open and lock: then this lock guards nothing.
        if (!isStillAt(path, descriptor)) {
          fs.closeSync(descriptor);
          continue;
        }
        writeHolder(descriptor);
        return new KernelLock(path, descriptor);
      } catch (error) {
        fs.closeSync(descriptor);
        throw error;
      }
    }
    throw unsafe(path, 'is being replaced again and again. Find out by what, then start again.');
  }

  /** Frees the lock. The file stays. Releasing twice does nothing. */
  release(): void {
    if (this.#descriptor === undefined) return;
    fs.closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

function openLockFile(path: string): number {
  const before = fs.lstatSync(path, { throwIfNoEntry: false });
  if (before !== undefined) checkLockFile(path, before);
  // Not in the Windows table of constants, where links at that path need rights that programs do not have.
  const noFollow = (fs.constants as Readonly<Record<string, number | undefined>>)['O_NOFOLLOW'] ?? 0;
  let descriptor: number;
  try {
    // O_NOFOLLOW closes the gap between the look above and this.
    descriptor = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT | noFollow, 0o600);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ELOOP' || code === 'EISDIR') throw unsafe(path, 'is not a file. Remove it.');
    throw new StartupError(
      'lock_unavailable',
      `The lock file ${path} cannot be opened (${code ?? 'unknown error'}). Check the directory and its disk, ` +
        'or choose another directory with --runtime-dir.',
      { cause: error },
    );
  }
  try {
    checkLockFile(path, fs.fstatSync(descriptor));
    return descriptor;
  } catch (error) {
    fs.closeSync(descriptor);
    throw error;
  }
}

function checkLockFile(path: string, found: fs.Stats): void {
  if (found.isSymbolicLink()) throw unsafe(path, 'is a symbolic link. Remove it.');
  if (!found.isFile()) throw unsafe(path, 'is not a file. Remove it.');
  const uid = process.getuid?.();
  if (uid !== undefined && found.uid !== uid) {
    throw unsafe(path, 'belongs to another user. Choose another directory with --runtime-dir.');
  }
}

function take(tryLock: TryLock, descriptor: number, path: string, shared: boolean): boolean {
  try {
    tryLock(descriptor, lockOffset, 1, !shared);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EAGAIN') return false;
    throw new StartupError(
      'lock_unavailable',
      `The kernel gives no lock on ${path} (${errorCode(error) ?? 'unknown error'}). Some network file systems ` +
        'have none: choose a directory on a local disk with --runtime-dir.',
      { cause: error },
    );
  }
}

function isStillAt(path: string, descriptor: number): boolean {
  const there = fs.lstatSync(path, { throwIfNoEntry: false, bigint: true });
  const ours = fs.fstatSync(descriptor, { bigint: true });
  return there !== undefined && there.ino === ours.ino && there.dev === ours.dev;
}

function writeHolder(descriptor: number): void {
  const text = `${process.pid}\n`;
  try {
    fs.writeSync(descriptor, text, 0);
    fs.ftruncateSync(descriptor, text.length);
  } catch {
    // For people only: a full disk must not keep the daemon from starting.
  }
}

function heldError(path: string, descriptor: number): StartupError {
  const holder = readHolder(descriptor);
  const who = holder === undefined ? 'Another Hearth' : `Another Hearth (process ${holder})`;
  return new StartupError(
    'lock_held',
    `${who} already runs here: it holds ${path}. Use that one, stop it, or choose another directory with --runtime-dir.`,
  );
}

function readHolder(descriptor: number): number | undefined {
  try {
    const buffer = Buffer.alloc(16);
    const length = fs.readSync(descriptor, buffer, 0, buffer.length, 0);
    const text = buffer.toString('latin1', 0, length).trim();
    return /^[1-9][0-9]{0,9}$/.test(text) ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}

function unsafe(path: string, what: string): StartupError {
  return new StartupError('lock_unsafe', `The lock file ${path} ${what}`);
}

/** Locks so many bytes from `offset` on, or throws `EAGAIN` where somebody else has locked them. */
type TryLock = (descriptor: number, offset: number, length: number, exclusive: boolean) => void;

/**
 * Loaded when needed, so that a platform without the library gets a message and not a stack. Its binary is named
 * here: the package itself takes some 20 ms of processor time to find it, which each of twenty windows would take.
 */
function loadTryLock(): TryLock {
  const platform = `${process.platform}-${process.arch}`;
  let loaded: unknown;
  try {
    const load = createRequire(import.meta.url);
    loaded = load(`fs-native-extensions/prebuilds/${platform}/fs-native-extensions.node`);
  } catch (error) {
    throw new StartupError(
      'lock_unavailable',
      `Hearth has no kernel lock for ${platform}: fs-native-extensions cannot be loaded. ` +
        'Install again with npm, on a platform that the README names.',
      { cause: error },
    );
  }
  if (!hasTryLock(loaded)) throw new StartupError('lock_unavailable', 'fs-native-extensions has no tryLock.');
  return loaded.tryLock;
}

function hasTryLock(value: unknown): value is { readonly tryLock: TryLock } {
  return (
    typeof value === 'object' && value !== null && 'tryLock' in value && typeof value.tryLock === 'function'
  );
}
