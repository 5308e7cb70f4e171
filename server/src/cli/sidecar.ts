import { type FSWatcher, watch } from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { HearthError, wireVersion } from '@hearth/protocol';
import { readConfigFile } from '../config/config-file.js';
import type { KernelLock } from '../lock/kernel-lock.js';
import type { RuntimePaths } from '../lock/runtime-directory.js';
import { StartupError } from '../lock/startup-error.js';
import { isNewer, thisBuild } from '../version.js';
import { askHolder } from './ask-holder.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { findPaths, takeLock } from './find-paths.js';
import type { DaemonFlags } from './program.js';

/** How long a sidecar tries to become holder or relay: longer than another's drain takes by default. */
const raceMs = 20_000;
/** How long it waits between two tries where no change of the socket tells it to try earlier, in milliseconds. */
const retryMs = 300;
/** The same while a holder is ending: a lock that is released makes no event. */
const handoverMs = 10;
/** When a relay looks at its own configuration: its editor has had its first answers by then. */
const checkAfterMs = 1000;

/**
 * `hearth sidecar`: what an editor spawns. The one that gets the lock is the daemon; any other becomes a byte
 * pipe between its stdio and the daemon's rpc socket, and nothing more. When the daemon goes, a relay sees the
 * close and exits, and its editor starts a new one, which tries the lock again.
 *
 * Nothing of the daemon is loaded before the role is known, so that a relay costs little time and memory.
 */
export async function sidecar(flags: DaemonFlags): Promise<ExitCode> {
  const paths = findPaths(runtimeDirOf(flags));
  const role = await chooseRole(paths);
  if (role.kind === 'relay') return relay(role.socket, flags);
  let lead: typeof import('./lead.js').lead;
  try {
    ({ lead } = await import('./lead.js'));
  } catch (error) {
    role.lock.release();
    throw error;
  }
  return lead(flags, paths, role.lock);
}

/** The runtime directory alone; everything else of the configuration concerns the holder. */
function runtimeDirOf(flags: DaemonFlags): string | undefined {
  const { runtimeDir } = flags;
  if (typeof runtimeDir === 'string') return runtimeDir;
  const fromFile = readConfigFile(flags.config, process.env)?.['runtime_dir'];
  const isSetElsewhere = (process.env['HEARTH_RUNTIME_DIR'] ?? '') !== '';
  return isSetElsewhere || typeof fromFile !== 'string' ? undefined : fromFile;
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
  let waitMs = retryMs;
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
        waitMs = handoverMs;
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
    await socketAppears(paths.rpc, waitMs);
  }
}

/** Waits until something happens to the socket at `place`, at most `mostMs`. */
async function socketAppears(place: string, mostMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    let watcher: FSWatcher | undefined;
    const end = (): void => {
      clearTimeout(timer);
      watcher?.close();
      resolve();
    };
    const timer = setTimeout(end, mostMs);
    try {
      watcher = watch(path.dirname(place), { persistent: false }, (_event, name) => {
        if (name === path.basename(place)) end();
      });
      watcher.on('error', () => undefined);
    } catch {
      // A kernel that watches nothing more, or a pipe without a directory: the time does it.
    }
  });
}

/** Pipes until either side ends. A wrong flag ends it too, with what it says, as it would end a holder. */
async function relay(socket: Socket, flags: DaemonFlags): Promise<ExitCode> {
  const checked = new AbortController();
  const wrong = delay(checkAfterMs, undefined, { signal: checked.signal }).then(() => checkFlags(flags));
  const ended = new Promise<void>((resolve) => {
    const end = (): void => {
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
  try {
    await Promise.race([ended, wrong.then(() => ended)]);
  } finally {
    checked.abort();
    wrong.catch(() => undefined);
    socket.destroy();
    process.stdin.destroy();
  }
  return exitCodes.ok;
}

async function checkFlags(flags: DaemonFlags): Promise<void> {
  const { daemonConfig } = await import('./daemon-config.js');
  daemonConfig(flags, process.env);
}
