import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { watchAdmin } from '@hearth/protocol/node';
import type { RuntimePaths } from '../lock/runtime-directory.js';
import { NotReadyError } from '../router/ready-gate.js';
import { describeProgress, type ProgressLine } from './daemon-progress.js';

/** Most of what a failing daemon said that is kept, in UTF-16 units. */
const maxComplaint = 4096;

/** A daemon that a command has started for itself, and that ends with it. */
export class TemporaryDaemon {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #complaint = '';

  /** @param args flags of `serve` beside the runtime directory. */
  constructor(paths: RuntimePaths, args: readonly string[]) {
    const script = process.argv[1] ?? '';
    // `detached`: a Ctrl-C at the terminal is for the command, which then ends its daemon in order.
    this.#child = spawn(process.execPath, [script, 'serve', '--runtime-dir', paths.directory, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
    });
    this.#exited = once(this.#child, 'exit');
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#complaint = (this.#complaint + chunk.toString('utf8')).slice(-maxComplaint);
    });
  }

  /** @throws NotReadyError with what the daemon said, where it ended before it was ready. */
  async ready(paths: RuntimePaths, progress: ProgressLine, signal: AbortSignal): Promise<void> {
    const ended = this.#exited.then(() => {
      throw new NotReadyError(
        this.#complaint.trim().replace(/^hearth: /u, '') || 'the daemon ended before it was ready',
      );
    });
    await Promise.race([waitForReadyFrame(paths, progress, signal), ended]);
  }

  /** Ends it in order, and waits for that. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGTERM');
    await this.#exited;
  }
}

/**
 * Watches a daemon start, and shows it, until it is ready.
 *
 * @throws ConnectError where no daemon is there within `timeoutMs` (default 30 s). @throws NotReadyError where it
 *   ends first.
 */
export async function waitForReadyFrame(
  paths: RuntimePaths,
  progress: ProgressLine,
  signal: AbortSignal,
  options: { readonly timeoutMs?: number } = {},
): Promise<void> {
  for await (const frame of watchAdmin(paths.admin, { ...options, signal })) {
    if (frame.status === 'ready') return;
    const text = describeProgress(frame);
    if (text !== undefined) progress.show(text);
  }
  signal.throwIfAborted();
  throw new NotReadyError('the daemon ended before it was ready');
}
