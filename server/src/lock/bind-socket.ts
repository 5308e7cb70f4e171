import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { proveAsDaemon } from '@hearth/protocol/node';
import type { KernelLock } from './kernel-lock.js';
import { errorCode, StartupError } from './startup-error.js';

/** How long a listener at the path may take to answer before we give up and leave it alone, in milliseconds. */
const probeTimeoutMs = 2000;

export interface BindSocketOptions {
  /** Must be held, and must lie in the directory of the socket: the lock's holder owns that directory's sockets. */
  readonly lock: KernelLock;
  /** Path of the socket; on Windows the name of the pipe, where the kernel keeps out other users. */
  readonly path: string;
  /** Rights of the socket from its first instant: 0660 for inference, 0600 for admin (rows 37, 56). */
  readonly mode: 0o600 | 0o660;
  /** As in `net.createServer`. @default false */
  readonly allowHalfOpen?: boolean;
  /** As in `net.createServer`. @default false */
  readonly pauseOnConnect?: boolean;
  /** Both ends prove that they know it before `onConnection` is called (mutual-proof.ts). @default no proof */
  readonly secret?: Buffer | undefined;
  readonly onConnection: (socket: net.Socket) => void;
  /** A connection that could not be accepted, such as for want of descriptors. The server goes on. */
  readonly onAcceptError?: (error: Error) => void;
}

/** A server that listens. */
export interface BoundSocket {
  readonly server: net.Server;
  readonly path: string;
  /**
   * Stops accepting and removes the socket file at once; resolves when every connection has ended, which is up to
   * the connections' owner. Calling it again returns the same promise. Release the lock only after this call.
   */
  close(): Promise<void>;
}

/**
 * Listens on a Unix socket (or a Windows pipe). Whatever lies at the path is removed only if it is a socket by
 * lstat, ours, and refuses connections, while we hold the lock (row 37); anything else is left untouched.
 *
 * @throws StartupError `socket_unsafe`, `address_in_use` or `bind_failed`
 */
export async function bindSocket(options: BindSocketOptions): Promise<BoundSocket> {
  if (!options.lock.held) throw new Error('bindSocket needs a lock that is held');
  const isPipe = process.platform === 'win32';
  if (!isPipe) {
    if (path.dirname(path.resolve(options.path)) !== path.dirname(path.resolve(options.lock.path))) {
      throw new Error('bindSocket needs the lock of the directory of the socket');
    }
    await removeDeadSocket(options.path);
  }
  const { allowHalfOpen = false, pauseOnConnect = false } = options;
  const onConnection =
    options.secret === undefined ? options.onConnection : afterProof(options.secret, options.onConnection);
  const server = net.createServer({ allowHalfOpen, pauseOnConnect }, onConnection);
  await (isPipe ? listen(server, options.path) : listenWithMode(server, options.path, options.mode));
  const identity = isPipe ? undefined : identityOf(options.path);
  server.on('error', (error) => options.onAcceptError?.(error));

  let closed: Promise<void> | undefined;
  return {
    server,
    path: options.path,
    close: () => {
      // libuv unlinks the path that it has bound as it closes the handle.
      closed ??= new Promise((resolve) => {
        const close = (): void => void server.close(() => resolve());
        if (isPipe) close();
        else sparingOthers(options.path, identity, close);
      });
      return closed;
    },
  };
}

/** Most connections that have yet to prove themselves; more are closed. */
const mostUnproven = 64;

function afterProof(
  secret: Buffer,
  onConnection: (socket: net.Socket) => void,
): (socket: net.Socket) => void {
  let unproven = 0;
  return (socket) => {
    if (unproven >= mostUnproven) {
      socket.destroy();
      return;
    }
    unproven += 1;
    proveAsDaemon(socket, secret)
      .then(
        () => {
          onConnection(socket);
        },
        // Closed already. There is nobody to tell.
        () => undefined,
      )
      .finally(() => {
        unproven -= 1;
      });
  };
}

/** What lies at a path: no two files of a machine share it. Undefined where nothing does. */
function identityOf(socketPath: string): string | undefined {
  const found = fs.lstatSync(socketPath, { throwIfNoEntry: false, bigint: true });
  return found === undefined ? undefined : `${found.dev}:${found.ino}:${found.birthtimeNs}`;
}

/**
 * Closes a server without removing what another has put at its path since, which is not ours to remove: the
 * directory may have been made anew under us. Nothing runs between the three steps.
 */
function sparingOthers(socketPath: string, ours: string | undefined, close: () => void): void {
  const now = identityOf(socketPath);
  if (now === undefined || now === ours) {
    close();
    return;
  }
  const aside = `${socketPath}.${process.pid}`;
  fs.renameSync(socketPath, aside);
  close();
  fs.renameSync(aside, socketPath);
}

/**
 * Binds under a umask, so that at no instant the socket admits more than it should: a chmod afterwards would leave
 * a gap. The umask belongs to the whole process, but nothing else runs in between: `listen` on a path binds before
 * it returns. The check makes sure that this stays so.
 */
async function listenWithMode(server: net.Server, socketPath: string, mode: number): Promise<void> {
  const previous = process.umask(0o777 & ~mode);
  let listening: Promise<void>;
  let boundMode: number | undefined;
  try {
    listening = listen(server, socketPath);
    boundMode = fs.lstatSync(socketPath, { throwIfNoEntry: false })?.mode;
  } finally {
    process.umask(previous);
  }
  await listening;
  if (boundMode !== undefined && (boundMode & 0o777) === mode) return;
  server.close();
  throw new StartupError(
    'bind_failed',
    `The socket ${socketPath} did not get the rights that it needs on this file system. ` +
      'Choose a directory on a local disk with --runtime-dir.',
  );
}

function listen(server: net.Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      const code = errorCode(error);
      if (code === 'EADDRINUSE') {
        reject(
          new StartupError('address_in_use', `Something listens at ${socketPath} already.`, { cause: error }),
        );
        return;
      }
      const message = `Hearth cannot listen at ${socketPath} (${code ?? 'unknown error'}).`;
      reject(new StartupError('bind_failed', message, { cause: error }));
    };
    server.once('error', fail);
    server.listen({ path: socketPath }, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

async function removeDeadSocket(socketPath: string): Promise<void> {
  const found = fs.lstatSync(socketPath, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (found.isSymbolicLink()) throw unsafe(socketPath, 'is a symbolic link');
  if (!found.isSocket()) throw unsafe(socketPath, 'is not a socket');
  if (found.uid !== process.getuid?.()) throw unsafe(socketPath, 'belongs to another user');

  const answer = await probe(socketPath);
  if (answer === 'gone') return;
  if (answer !== 'refused') {
    throw new StartupError(
      'address_in_use',
      `Something that does not hold Hearth's lock listens at ${socketPath}. Stop it, or choose another directory ` +
        'with --runtime-dir.',
    );
  }
  const again = fs.lstatSync(socketPath, { throwIfNoEntry: false });
  if (again === undefined) return;
  if (again.ino !== found.ino || again.dev !== found.dev)
    throw unsafe(socketPath, 'was replaced as Hearth started');
  fs.unlinkSync(socketPath);
}

/** Only a refusal tells that nobody listens. A full backlog or silence is a listener that is busy. */
function probe(socketPath: string): Promise<'refused' | 'gone' | 'alive'> {
  return new Promise((resolve) => {
    const socket = net.connect({ path: socketPath });
    const settle = (answer: 'refused' | 'gone' | 'alive'): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => settle('alive'), probeTimeoutMs);
    socket.once('connect', () => settle('alive'));
    socket.once('error', (error) => {
      const code = errorCode(error);
      settle(code === 'ECONNREFUSED' ? 'refused' : code === 'ENOENT' ? 'gone' : 'alive');
    });
  });
}

function unsafe(socketPath: string, what: string): StartupError {
  return new StartupError(
    'socket_unsafe',
    `${socketPath} ${what}, so Hearth left it as it is. Remove it, or choose another directory with --runtime-dir.`,
  );
}
