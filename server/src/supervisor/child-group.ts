import { type ChildProcess, spawn } from 'node:child_process';
import { type OrphanGuard, startOrphanGuard } from './orphan-guard.js';

/** What to run: a program with its arguments as they are, never a line for a shell (row 112). */
export interface ChildCommand {
  readonly program: string;
  readonly args: readonly string[];
  /** Undefined: ours. */
  readonly workDir: string | undefined;
  /** The whole of it. */
  readonly env: Readonly<Record<string, string>>;
}

/** How a child ended. */
export type ChildExit =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: string }
  /** The system's code, such as ENOENT. */
  | { readonly kind: 'not_started'; readonly code: string };

/** A process and its descendants, as the supervisor sees them. */
export interface ChildGroup {
  readonly pid: number | undefined;
  /** Resolves once the child is gone and reaped. Never rejects. */
  readonly exited: Promise<ChildExit>;
  /** SIGTERM to all of them, SIGKILL to who is left after `graceMs`. Resolves when they are gone (row 120). */
  stop(graceMs: number): Promise<void>;
}

/**
 * Starts a child in a process group of its own, under a guard that outlives us.
 *
 * @param output Where its output goes. `inherit`: to our error output, since our standard output may carry a protocol;
 *   never a pipe, which would fill up and stop the child. It may hold prompts, and is never logged.
 */
export function startChildGroup(command: ChildCommand, output: 'inherit' | 'ignore'): ChildGroup {
  const guard = startOrphanGuard();
  const target = output === 'inherit' ? 2 : 'ignore';
  const child = spawn(command.program, command.args, {
    cwd: command.workDir,
    env: { ...command.env },
    shell: false,
    windowsHide: true,
    // A group of its own on POSIX. On Windows this would open a console.
    detached: process.platform !== 'win32',
    stdio: ['ignore', target, target],
  });
  if (child.pid !== undefined) guard.watch(child.pid);
  return new StartedGroup(child, guard);
}

class StartedGroup implements ChildGroup {
  readonly pid: number | undefined;
  readonly exited: Promise<ChildExit>;
  readonly #child: ChildProcess;
  #stopping: Promise<void> | undefined;

  constructor(child: ChildProcess, guard: OrphanGuard) {
    this.#child = child;
    this.pid = child.pid;
    this.exited = new Promise<ChildExit>((resolve) => {
      child.once('exit', (code, signal) => {
        resolve(signal === null ? { kind: 'exited', code: code ?? -1 } : { kind: 'killed', signal });
      });
      child.on('error', (error: NodeJS.ErrnoException) => {
        if (child.pid === undefined) resolve({ kind: 'not_started', code: error.code ?? 'unknown' });
      });
    }).then((exit) => {
      // What the child started must not live on without it.
      this.#signal('SIGKILL');
      guard.release();
      return exit;
    });
  }

  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    this.#signal('SIGTERM');
    const timer = setTimeout(() => this.#signal('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(timer);
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.pid === undefined) return;
    try {
      if (process.platform === 'win32') this.#child.kill(signal);
      else process.kill(-this.pid, signal);
    } catch {
      // Nobody of the group is left.
    }
  }
}
