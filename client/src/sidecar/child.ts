import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** How the sidecar is started. */
export interface SidecarCommand {
  /** Absolute path of the bundled sidecar. */
  readonly script: string;
  readonly arguments: readonly string[];
}

export type SidecarChild = ChildProcessByStdio<Writable, Readable, Readable>;

/** What became of a child process. */
export type ChildEnd =
  | { readonly kind: 'exited'; readonly code: number | null; readonly signal: NodeJS.Signals | null }
  | { readonly kind: 'not_started'; readonly reason: string };

/** Starts the sidecar with the editor's own Node, and hands each line of its standard error to `onLine`. */
export function startChild(command: SidecarCommand, onLine: (line: string) => void): SidecarChild {
  const child = spawn(process.execPath, [command.script, 'sidecar', ...command.arguments], {
    // Where the editor runs on Electron, this makes it the Node inside. HEARTH_* variables pass through.
    env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
    windowsHide: true,
  });
  createInterface({ input: child.stderr, crlfDelay: Infinity, historySize: 0 }).on('line', (line) => {
    onLine(line.slice(0, 2000));
  });
  return child;
}

/** Resolves when the child is gone. */
export function endOfChild(child: SidecarChild): Promise<ChildEnd> {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      // An error of a child that runs, such as a signal that could not be sent, is not its end.
      if (child.pid === undefined)
        resolve({ kind: 'not_started', reason: `The sidecar could not be started: ${error.name}.` });
    });
    child.once('exit', (code, signal) => resolve({ kind: 'exited', code, signal }));
  });
}

/** Longer than a sidecar gives its running requests at the end. */
const drainMs = 12_000;

/** Ends a child: politely, and where that does not help in time, not. */
export async function endChild(child: SidecarChild, ended: Promise<unknown>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), drainMs);
  await ended;
  clearTimeout(timer);
}
