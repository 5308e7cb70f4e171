import { once } from 'node:events';
import net from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type { HearthProcess } from './daemon.js';
import { type Frame, isObject, toFrame } from './raw-client.js';
import { ceilingMs, within } from './wait.js';

/** A deliberately dumb peer of the JSON-RPC protocol: it frames by `Content-Length`, numbers requests, and keeps what comes. */
export class RpcPeer {
  readonly #output: Writable;
  readonly #messages: Frame[] = [];
  readonly #given = new Set<Frame>();
  readonly #close: () => void;
  #wakers: (() => void)[] = [];
  #buffer = Buffer.alloc(0);
  #ended = false;
  #last = 0;

  constructor(input: Readable, output: Writable, close: () => void = () => undefined) {
    this.#output = output;
    this.#close = close;
    input.on('data', (chunk: Buffer | string) => {
      this.#buffer = Buffer.concat([this.#buffer, Buffer.from(chunk)]);
      this.#take();
      this.#wake();
    });
    input.on('close', () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** The peer at stdio of a sidecar. */
  static of(sidecar: HearthProcess): RpcPeer {
    const { stdin, stdout } = sidecar.child;
    if (stdin === null || stdout === null) throw new Error('a sidecar has pipes');
    return new RpcPeer(stdout, stdin);
  }

  static async connect(path: string): Promise<RpcPeer> {
    const socket = net.connect(path);
    await within(once(socket, 'connect'), () => 'the rpc socket took no connection');
    socket.on('error', () => undefined);
    return new RpcPeer(socket, socket, () => socket.destroy());
  }

  /** Asks, and gives the whole response. */
  async request(method: string, params?: unknown): Promise<Frame> {
    this.#last += 1;
    const id = this.#last;
    this.send({ jsonrpc: '2.0', id, method, ...(params === undefined ? {} : { params }) });
    return this.#find((message) => message['id'] === id && !('method' in message), method);
  }

  /** Sends a message as it is; of one with an id, gives the response. */
  async exchange(message: Frame): Promise<Frame | undefined> {
    this.send(message);
    const { id, method } = message;
    if (id === undefined) return undefined;
    return this.#find((other) => other['id'] === id && !('method' in other), String(method));
  }

  /** A notification of this method, the first that came or is to come. */
  async notified(method: string): Promise<Frame> {
    return this.#find((message) => message['method'] === method, method);
  }

  /** The next notification of this method that this has not given yet. */
  async nextNotified(method: string): Promise<Frame> {
    const found = await this.#find(
      (message) => message['method'] === method && !this.#given.has(message),
      method,
    );
    this.#given.add(found);
    return found;
  }

  /** How many notifications of this method have come. */
  count(method: string): number {
    return this.#messages.filter((message) => message['method'] === method).length;
  }

  send(message: unknown): void {
    const body = Buffer.from(JSON.stringify(message));
    this.#output.write(Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]));
  }

  close(): void {
    this.#close();
  }

  async #find(wanted: (message: Frame) => boolean, what: string): Promise<Frame> {
    const wait = async (): Promise<Frame> => {
      for (;;) {
        const found = this.#messages.find(wanted);
        if (found !== undefined) return found;
        if (this.#ended) throw new Error(`the connection ended before ${what}`);
        await new Promise<void>((resolve) => this.#wakers.push(resolve));
      }
    };
    return within(wait(), () => `nothing came for ${what}`, ceilingMs);
  }

  #take(): void {
    for (;;) {
      const headerEnd = this.#buffer.indexOf('\r\n\r\n');
      if (headerEnd < 0) return;
      const length = Number(
        /Content-Length: (\d+)/i.exec(this.#buffer.subarray(0, headerEnd).toString())?.[1],
      );
      const end = headerEnd + 4 + length;
      if (!(this.#buffer.length >= end)) return;
      this.#messages.push(toFrame(this.#buffer.subarray(headerEnd + 4, end).toString()));
      this.#buffer = this.#buffer.subarray(end);
    }
  }

  #wake(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }
}

/** What a daemon says of itself. */
export interface HealthFacts {
  readonly pid: number;
  readonly state: string;
  readonly admission: { readonly permitsInUse: number; readonly queued: number };
}

/** Health, as the peer's daemon tells it. */
export async function health(peer: RpcPeer): Promise<HealthFacts> {
  const { result } = await peer.request('hearth/health');
  if (!isObject(result) || !isObject(result['admission'])) throw new Error('that is no health');
  const { permitsInUse, queued } = result['admission'];
  return {
    pid: Number(result['pid']),
    state: String(result['state']),
    admission: { permitsInUse: Number(permitsInUse), queued: Number(queued) },
  };
}
