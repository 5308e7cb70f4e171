import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { HearthError, wireVersion } from '@hearth/protocol';
import type { Daemon } from '../daemon.js';
import type { KernelLock } from '../lock/kernel-lock.js';
import type { RuntimePaths } from '../lock/runtime-directory.js';
import { StartupError } from '../lock/startup-error.js';
import { isNewer, thisBuild } from '../version.js';
import { askHolder } from './ask-holder.js';
import { daemonConfig } from './daemon-config.js';
import { describeFailure } from './describe-failure.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { findPaths, makeDaemon, takeLock } from './open-daemon.js';
import type { DaemonFlags } from './program.js';
import { stopOnSignals } from './signals.js';

/** How long a sidecar tries to become holder or relay: longer than another's drain takes by default. */
const raceMs = 20_000;
/** How long it waits between two tries, in milliseconds. */
const retryMs = 25;

/**
 * `hearth sidecar`: what an editor spawns. The one that gets the lock is the daemon; any other becomes a byte
 * pipe between its stdio and the daemon's rpc socket, and nothing more. When the daemon goes, a relay sees the
 * close and exits, and its editor starts a new one, which tries the lock again.
 */
export async function sidecar(flags: DaemonFlags): Promise<ExitCode> {
  const config = daemonConfig(flags, process.env);
  const paths = findPaths(config.runtime_dir);
  const role = await chooseRole(paths);
  if (role.kind === 'relay') return relay(role.socket);

  let daemon: Daemon | undefined;
  try {
    daemon = await makeDaemon(config, paths, role.lock);
  } finally {
    if (daemon === undefined) role.lock.release();
  }
  return lead(daemon, config.linger_secs * 1000);
}

type Role =
  | { readonly kind: 'holder'; readonly lock: KernelLock }
  | { readonly kind: 'relay'; readonly socket: Socket };

/**
 * Tries lock and socket in turn: between a holder's lock and its socket, and between two holders, neither is to be
 * had. An older holder is asked once to hand over, and then its lock is waited for.
 *
 * @throws StartupError where neither comes about in time. @throws HearthError where the holder speaks a newer wire.
 */
async function chooseRole(paths: RuntimePaths): Promise<Role> {
  const until = performance.now() + raceMs;
  const ours = thisBuild();
  for (;;) {
    try {
      return { kind: 'holder', lock: await takeLock(paths) };
    } catch (error) {
      const isHeld = error instanceof StartupError && error.kind === 'lock_held';
      if (!isHeld || performance.now() > until) throw error;
    }
    const holder = await askHolder(paths.rpc);
    if (holder !== undefined) {
      const { build, wireVersion: theirs } = holder.hello;
      if (isNewer(ours, build)) {
        await holder.drain();
      } else if (theirs === wireVersion) {
        return { kind: 'relay', socket: holder.release() };
      } else {
        holder.close();
        throw new HearthError(
          'invalid_request',
          `Hearth ${build.version} runs here already; update this one to use it.`,
        );
      }
    }
    await delay(retryMs);
  }
}

/** Is the daemon, for the editor at the other end of stdio and for everybody else. */
async function lead(daemon: Daemon, lingerMs: number): Promise<ExitCode> {
  const stopping = stopOnSignals(daemon);
  const editor = daemon.attachRpc(process.stdin, process.stdout);
  void editor.closed
    .then(() => daemon.unusedFor(lingerMs))
    .then(() => {
      stopping.stop();
    });
  daemon.start().catch((error: unknown) => {
    // Stays, so that the editor can ask for the reason and show it.
    if (!stopping.signal.aborted) daemon.fail(describeFailure(error).text);
  });
  await Promise.race([stopping.done, daemon.stopped]);
  return exitCodes.ok;
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
