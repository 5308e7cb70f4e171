import { type FSWatcher, watch } from 'node:fs';
import type { Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { HearthError, wireVersion } from '@hearth/protocol';
import { readConfigFile } from '../config/config-file.js';
import type { KernelLock } from '../lock/kernel-lock.js';
import type { RuntimePaths } from '../lock/runtime-directory.js';
import { StartupError } from '../lock/startup-error.js';
import { isNewer, thisBuild } from '../version.js';
import { askHolder } from './ask-holder.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { findPaths, takeLock } from './find-paths.js';

/** How long a sidecar tries to become holder or relay: longer than another's drain takes by default. */
const raceMs = 20_000;
/** How long it waits between two tries where no change of the socket tells it to try earlier, in milliseconds. */
const retryMs = 300;
/** The same while a holder is ending: a lock that is released makes no event. */
const handoverMs = 10;
/** When a relay looks at its own command line: its editor has had its first answers by then. */
const checkAfterMs = 1000;

/** What a sidecar is, once it knows: the daemon itself, or a pipe to it. */
export type SidecarRole =
  | { readonly kind: 'holder'; readonly paths: RuntimePaths; readonly lock: KernelLock }
  | { readonly kind: 'relay' };

/** Reads a command line in full and does what it says; a relay's is only checked. */
export type RunCommandLine = (args: readonly string[], role: SidecarRole) => Promise<ExitCode>;

/** Whether a command line is that of a sidecar, and asks for no help. */
export function isSidecar([command, ...rest]: readonly string[]): boolean {
  return (
    (command === 'sidecar' || command === 'lsp') && !rest.some((one) => one === '--help' || one === '-h')
  );
}

/**
 * `hearth sidecar`: what an editor spawns. The one that gets the lock is the daemon; any other becomes a byte
 * pipe between its stdio and the daemon's rpc socket, and nothing more. When the daemon goes, a relay sees the
 * close and exits, and its editor starts a new one, which tries the lock again.
 *
 * Nothing of the daemon or of the command line is loaded before the role is known, so that a relay costs little time
 * and memory.
 *
 * @param args The whole command line.
 * @param run Called by the holder at once, and by a relay when its editor has had its first answers.
 * @throws StartupError where no role is to be had. @throws HearthError where the holder speaks a newer wire.
 * @throws NotReadyError where the holder does not answer.
 */
export async function sidecar(args: readonly string[], run: RunCommandLine): Promise<ExitCode> {
  const paths = findPaths(runtimeDirOf(args));
  const role = await chooseRole(paths);
  if (role.kind === 'holder') return run(args, { kind: 'holder', paths, lock: role.lock });
  return relay(role.socket, () => run(args, { kind: 'relay' }));
}

/** The runtime directory alone; everything else of the command line and the configuration concerns the holder. */
function runtimeDirOf(args: readonly string[]): string | undefined {
  const options = { 'runtime-dir': { type: 'string' }, config: { type: 'string' } } as const;
  const { values } = parseArgs({ args: [...args], options, strict: false });
  const { 'runtime-dir': runtimeDir, config } = values;
  if (typeof runtimeDir === 'string') return runtimeDir;
  const fromFile = readConfigFile(typeof config === 'string' ? config : undefined, process.env)?.[
    'runtime_dir'
  ];
  const isSetElsewhere = (process.env['HEARTH_RUNTIME_DIR'] ?? '') !== '';
  return isSetElsewhere || typeof fromFile !== 'string' ? undefined : fromFile;
}

type Role =
  | { readonly kind: 'holder'; readonly lock: KernelLock }
  | { readonly kind: 'relay'; readonly socket: Socket };

/**
 * Tries socket and lock in turn: between a holder's lock and its socket, and between two holders, neither is to be
 * had. An older holder is asked once to hand over, and then its lock is waited for.
 *
 * @throws StartupError where neither comes about in time. @throws HearthError where the holder speaks a newer wire.
 */
async function chooseRole(paths: RuntimePaths): Promise<Role> {
  const until = performance.now() + raceMs;
  const ours = thisBuild();
  let waitMs = retryMs;
  let changes: Changes | undefined;
  try {
    for (;;) {
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
      try {
        return { kind: 'holder', lock: await takeLock(paths) };
      } catch (error) {
        const isHeld = error instanceof StartupError && error.kind === 'lock_held';
        if (!isHeld || performance.now() > until) throw error;
      }
      // Asked once more as soon as changes are seen: the socket may have come since it was asked for.
      if (changes === undefined) changes = watchSocket(paths.rpc);
      else await changes.next(waitMs);
    }
  } finally {
    changes?.close();
  }
}

/** What happens to a socket. */
interface Changes {
  /** Resolves when something has happened since the last call, or after `mostMs`. */
  next(mostMs: number): Promise<void>;
  close(): void;
}

function watchSocket(place: string): Changes {
  let isChanged = false;
  let wake: (() => void) | undefined;
  let watcher: FSWatcher | undefined;
  try {
    watcher = watch(path.dirname(place), { persistent: false }, (_event, name) => {
      if (name !== path.basename(place)) return;
      isChanged = true;
      wake?.();
    });
    watcher.on('error', () => undefined);
  } catch {
    // A kernel that watches nothing more, or a pipe without a directory: the time does it.
  }
  return {
    next: async (mostMs) => {
      if (!isChanged) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, mostMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      isChanged = false;
    },
    close: () => watcher?.close(),
  };
}

/**
 * Pipes until either side ends. A wrong flag ends it too, with what it says, as it would end a holder.
 *
 * @param check Says what is wrong with the command line, and gives the exit code for it.
 */
async function relay(socket: Socket, check: () => Promise<ExitCode>): Promise<ExitCode> {
  const checked = new AbortController();
  const wrong = delay(checkAfterMs, undefined, { signal: checked.signal }).then(check);
  const ended = new Promise<ExitCode>((resolve) => {
    const end = (): void => {
      resolve(exitCodes.ok);
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
    return await Promise.race([ended, wrong.then((code) => (code === exitCodes.ok ? ended : code))]);
  } finally {
    checked.abort();
    wrong.catch(() => undefined);
    socket.destroy();
    process.stdin.destroy();
  }
}
