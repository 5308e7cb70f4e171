import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { KernelLock } from '../lock/kernel-lock.js';
import type { RuntimePaths } from '../lock/runtime-directory.js';
import { StartupError } from '../lock/startup-error.js';
import { daemonConfig } from './daemon-config.js';
import { describeFailure } from './describe-failure.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { findPaths, makeDaemon, takeLock } from './open-daemon.js';
import type { DaemonFlags } from './program.js';
import { stopOnSignals } from './signals.js';

/** How long a sidecar tries to become holder or relay, and how long it waits between two tries, in milliseconds. */
const raceMs = 10_000;
const retryMs = 50;

/**
 * `hearth sidecar`: what an editor spawns. The one that gets the lock is the daemon; any other becomes a byte
 * pipe between its stdio and the daemon's rpc socket, and nothing more. When the daemon goes, a relay sees the
 * close and exits, and its editor starts a new one, which tries the lock again.
 */
export async function sidecar(flags: DaemonFlags): Promise<ExitCode> {
  const config = daemonConfig({ ...flags }, process.env);
  const paths = findPaths(config.runtime_dir);
  const role = await chooseRole(paths);
  if (role.kind === 'relay') return relay(role.socket);

  let daemon;
  try {
    daemon = await makeDaemon(config, paths, role.lock);
  } catch (error) {
    role.lock.release();
    throw error;
  }
  const stopping = stopOnSignals(daemon);
  const editor = daemon.attachRpc(process.stdin, process.stdout);
  // The editor has gone: stay for whoever else still uses the model, then go too.
  void editor.closed
    .then(() => daemon.unused())
    .then(() => {
      stopping.stop();
    });
  daemon.start().catch((error: unknown) => {
    if (stopping.signal.aborted) return;
    // Stays, so that the editor can ask for the reason and show it.
    daemon.fail(describeFailure(error).text);
  });
  await stopping.done;
  return exitCodes.ok;
}

type Role =
  | { readonly kind: 'holder'; readonly lock: KernelLock }
  | { readonly kind: 'relay'; readonly socket: Socket };

/** Tries lock and socket in turn: between a holder's lock and its socket, and between two holders, neither is to be had. */
async function chooseRole(paths: RuntimePaths): Promise<Role> {
  const until = performance.now() + raceMs;
  for (;;) {
    try {
      return { kind: 'holder', lock: await takeLock(paths) };
    } catch (error) {
      const held = error instanceof StartupError && error.kind === 'lock_held';
      if (!held || performance.now() > until) throw error;
    }
    const socket = await connectOnce(paths.rpc);
    if (socket !== undefined) return { kind: 'relay', socket };
    await delay(retryMs);
  }
}

function connectOnce(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', () => resolve(undefined));
  });
}

async function relay(socket: Socket): Promise<ExitCode> {
  await new Promise<void>((resolve) => {
    const end = (): void => {
      socket.destroy();
      resolve();
    };
    socket.once('close', end);
    socket.on('error', end);
    process.stdout.on('error', end);
    process.stdin.once('end', end);
    process.stdin.on('error', end);
    process.once('SIGTERM', end);
    process.once('SIGINT', end);
    process.stdin.pipe(socket);
    socket.pipe(process.stdout);
  });
  process.stdin.destroy();
  return exitCodes.ok;
}
