import net from 'node:net';
import { once } from 'node:events';
import { LineInbox } from './lines.js';
import { ceilingMs, within } from './wait.js';

/**
 * A deliberately dumb client of a line socket: it sends the bytes that it is given and keeps the lines that come.
 * It shares no code with the project's own client and codec, so that a fault there cannot hide itself.
 */

/** A frame as it came, unchecked beyond being a JSON object: assertions say what must be in it. */
export type Frame = Readonly<Record<string, unknown>>;

/** Where to connect: a socket's path, or a loopback port. */
export type Target = string | { readonly port: number; readonly host?: string };

export class RawClient {
  readonly socket: net.Socket;
  readonly #inbox = new LineInbox();
  #error: Error | undefined;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => this.#inbox.push(chunk));
    socket.on('end', () => this.#inbox.end());
    socket.on('close', () => this.#inbox.end());
    socket.on('error', (error) => {
      this.#error = error;
    });
  }

  /** @throws the socket's own error, such as ENOENT and ECONNREFUSED. */
  static async connect(target: Target): Promise<RawClient> {
    const socket = net.connect(
      typeof target === 'string'
        ? { path: target, allowHalfOpen: true }
        : { port: target.port, host: target.host ?? '127.0.0.1', allowHalfOpen: true },
    );
    // Listens before the connection is made: what a server says first is not lost.
    const client = new RawClient(socket);
    await within(once(socket, 'connect'), () => 'the socket took no connection');
    return client;
  }

  /** What went wrong on the socket, if anything. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** Whether the other side has closed, or this side has been destroyed. */
  get ended(): boolean {
    return this.#inbox.ended;
  }

  /** Bytes that came after the last line feed. */
  get remainder(): Buffer {
    return this.#inbox.remainder;
  }

  /** Sends exactly these bytes and resolves when the kernel has them. */
  async send(bytes: string | Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Sends values as JSON, one a line, in one write. */
  async sendJson(...values: readonly unknown[]): Promise<void> {
    await this.send(values.map((value) => `${JSON.stringify(value)}\n`).join(''));
  }

  /** The next frame. @throws where the stream ends before one, or where it is no JSON object. */
  async frame(timeoutMs = ceilingMs): Promise<Frame> {
    const line = await this.#inbox.next(timeoutMs);
    if (line === undefined) throw new Error('the stream ended before a frame');
    return toFrame(line);
  }

  /** The next `count` frames. */
  async frames(count: number): Promise<readonly Frame[]> {
    const frames: Frame[] = [];
    while (frames.length < count) frames.push(await this.frame());
    return frames;
  }

  /** The frames up to and with the next `done` or `error`. */
  async reply(timeoutMs = ceilingMs): Promise<readonly Frame[]> {
    const frames: Frame[] = [];
    for (;;) {
      const frame = await this.frame(timeoutMs);
      frames.push(frame);
      if (frame['type'] === 'done' || frame['type'] === 'error') return frames;
    }
  }

  /** Every frame that is still to come, until the other side closes. */
  async rest(timeoutMs = ceilingMs): Promise<readonly Frame[]> {
    const frames: Frame[] = [];
    for (;;) {
      const line = await this.#inbox.next(timeoutMs);
      if (line === undefined) return frames;
      frames.push(toFrame(line));
    }
  }

  /** Sends values and gives the frames of the next reply. */
  async ask(value: unknown): Promise<readonly Frame[]> {
    await this.sendJson(value);
    return this.reply();
  }

  /** Closes the sending half; what is still to come can be read. */
  halfClose(): void {
    this.socket.end();
  }

  /** Resolves when the other side has closed. */
  async closed(): Promise<void> {
    await this.#inbox.finished();
  }

  /** Closes both halves at once. */
  destroy(): void {
    this.socket.destroy();
  }
}

/** Sends one request on a connection of its own and gives its frames. */
export async function askOnce(target: Target, value: unknown): Promise<readonly Frame[]> {
  const client = await RawClient.connect(target);
  try {
    return await client.ask(value);
  } finally {
    client.destroy();
  }
}

/** A request of the least form. */
export function say(
  id: string,
  extra: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  return { id, messages: [{ role: 'user', content: 'hello' }], ...extra };
}

/** `line` as a frame. @throws where it is no JSON object. */
export function toFrame(line: string): Frame {
  const value: unknown = JSON.parse(line);
  if (!isObject(value)) throw new Error(`not a JSON object: ${line.slice(0, 200)}`);
  return value;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
