import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { within } from './wait.js';

/**
 * A real HTTP server in the test's own process that stands for a service elsewhere. It keeps what it was asked and
 * tells when the other end has gone.
 */

/** One request as it arrived. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  /** Name and value by turns. */
  readonly rawHeaders: readonly string[];
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  /** Resolves when the connection is over, whoever ended it, or the answer is complete. */
  readonly closed: Promise<void>;
}

export type Answer = (response: ServerResponse, seen: Seen) => Promise<void> | void;

export class UpstreamServer {
  readonly seen: Seen[] = [];
  /** How it answers; replaced at will. */
  answer: Answer;
  readonly #server;
  readonly #sockets = new Set<Socket>();
  #port = 0;
  #waiters: (() => void)[] = [];

  private constructor(answer: Answer) {
    this.answer = answer;
    this.#server = createServer((request, response) => {
      void this.#take(request, response);
    });
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  static async listen(answer: Answer, port = 0): Promise<UpstreamServer> {
    const server = new UpstreamServer(answer);
    server.#server.listen(port, '127.0.0.1');
    await once(server.#server, 'listening');
    server.#port = (server.#server.address() as AddressInfo).port;
    return server;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Requests for `path` so far. */
  asked(path: string): readonly Seen[] {
    return this.seen.filter((one) => one.path === path);
  }

  /** The `count`th request for `path`, as soon as it is there. */
  async request(path: string, count = 1): Promise<Seen> {
    const wait = async (): Promise<Seen> => {
      for (;;) {
        const found = this.asked(path)[count - 1];
        if (found !== undefined) return found;
        await new Promise<void>((resolve) => this.#waiters.push(resolve));
      }
    };
    return within(wait(), () => `no ${count} requests for ${path}`);
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const closed = new Promise<void>((resolve) => response.once('close', resolve));
    const chunks: Buffer[] = [];
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const seen: Seen = {
      method: request.method ?? '',
      path: request.url ?? '',
      rawHeaders: request.rawHeaders,
      headers: request.headers,
      body: Buffer.concat(chunks),
      closed,
    };
    this.seen.push(seen);
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
    await this.answer(response, seen);
  }
}

/** Answers with JSON. */
export function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(value));
}

/** One event of a completion stream. */
export function chunk(content: string, finish: string | null = null): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;
}

/** A service with these models that streams `tokens`, then why it ended, then usage. */
export function completions(
  tokens: readonly string[],
  { models = ['remote-model'], finish = 'stop' }: { models?: readonly string[]; finish?: string } = {},
): (response: ServerResponse, seen: Pick<Seen, 'path'>) => void {
  return (response, { path }) => {
    if (path === '/v1/models') {
      json(response, 200, { object: 'list', data: models.map((id) => ({ id, object: 'model' })) });
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream' });
    for (const token of tokens) response.write(chunk(token));
    response.write(chunk('', finish));
    const usage = { prompt_tokens: 7, completion_tokens: tokens.length };
    response.end(`data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`);
  };
}
