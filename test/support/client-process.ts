import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { LineInbox } from './lines.js';
import { type Frame, toFrame } from './raw-client.js';

/** Connects to the socket, sends its second argument, and prints what comes. */
const script = `
const socket = require('node:net').connect(process.argv[1], () => socket.write(process.argv[2]));
socket.pipe(process.stdout);
`;

/** A client in a process of its own, which can be killed as a crash kills. */
export class ClientProcess {
  readonly #child: ChildProcess;
  readonly #inbox = new LineInbox();

  /** @param requests sent at once, one a line */
  constructor(socketPath: string, requests: readonly unknown[]) {
    const lines = requests.map((value) => `${JSON.stringify(value)}\n`).join('');
    this.#child = spawn(process.execPath, ['-e', script, socketPath, lines], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#child.stdout?.on('data', (chunk: Buffer) => this.#inbox.push(chunk));
    this.#child.stdout?.on('end', () => this.#inbox.end());
  }

  /** The next frame that it was sent. */
  async frame(): Promise<Frame> {
    const line = await this.#inbox.next();
    if (line === undefined) throw new Error('the client process ended before a frame');
    return toFrame(line);
  }

  /** Kills it without a word, and waits until it is gone. */
  async kill(): Promise<void> {
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }
}
