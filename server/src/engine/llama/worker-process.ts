import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import type { WorkerExit } from './worker-death.js';
import { workerEnvironment } from './worker-environment.js';
import { isFromWorker } from './worker/messages.js';
import type { FromWorker, ToWorker } from './worker/messages.js';
import { Outbox, separate } from './worker/outbox.js';

/** Bytes of error output that are kept, from its end. */
const outputBytes = 8 * 1024;

/** How long to wait at each stage of an end, in milliseconds. */
export interface StopTimes {
  /** After the request to end. */
  readonly politeMs: number;
  /** After SIGTERM, before SIGKILL (row 120). */
  readonly termMs: number;
}

export const defaultStopTimes: StopTimes = { politeMs: 2000, termMs: 5000 };

/** A worker process: messages in, messages out, and its end. It is started by being made. */
export class WorkerProcess {
  readonly pid: number | undefined;
  /** Resolves once the process is gone and reaped, or could not be started. Never rejects. */
  readonly exited: Promise<WorkerExit>;
  readonly #child: ChildProcess;
  readonly #outbox: Outbox<ToWorker>;
  #output = Buffer.alloc(0);

  /** @param path The worker's bundle. */
  constructor(path: string, onMessage: (message: FromWorker) => void) {
    const child = fork(path, [], {
      serialization: 'advanced',
      execArgv: [],
      env: workerEnvironment(process.env, process.versions['electron'] !== undefined),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.pid = child.pid;
    this.#outbox = new Outbox(
      (message) => {
        if (child.connected) child.send(message, () => undefined);
      },
      (work) => {
        process.nextTick(work);
      },
    );
    child.on('message', (message: unknown) => {
      for (const one of separate(message, isFromWorker)) onMessage(one);
    });
    child.stderr?.on('data', (data: Buffer) => {
      this.#output = Buffer.concat([this.#output, data]).subarray(-outputBytes);
    });
    this.exited = new Promise((resolve) => {
      // `close` comes after the error output has been read to its end.
      child.once('close', (code, signal) => {
        resolve({ code, signal });
      });
      child.on('error', () => {
        if (child.pid === undefined) resolve({ code: -1, signal: null });
      });
    });
  }

  /** The end of its error output, at most 8 KiB. It may hold content: never show or log it. */
  get output(): string {
    return this.#output.toString('utf8');
  }

  /** Sends, or does nothing where the worker is gone: its end is told by {@link exited}. */
  send(message: ToWorker): void {
    this.#outbox.put(message);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Asks it to end, then SIGTERM, then SIGKILL. Resolves once it is reaped. */
  async stop(times: StopTimes = defaultStopTimes): Promise<void> {
    this.send({ kind: 'shutdown' });
    if (await this.#endsWithin(times.politeMs)) return;
    this.kill('SIGTERM');
    if (await this.#endsWithin(times.termMs)) return;
    this.kill('SIGKILL');
    await this.exited;
  }

  async #endsWithin(milliseconds: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, milliseconds, false);
    });
    const ended = await Promise.race([this.exited.then(() => true as const), late]);
    clearTimeout(timer);
    return ended;
  }
}
