import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingHttpHeaders, request as httpRequest } from 'node:http';
import net from 'node:net';
import { within } from './wait.js';

/** HTTP as tests need it: whole answers by Node's own client, and raw bytes where a client would be too polite. */

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The JSON value of the body. */
  readonly json: Readonly<Record<string, unknown>>;
}

export interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** A value is sent as JSON, bytes as they are. */
  readonly body?: unknown;
}

/** Asks `url` and reads the whole answer. */
export async function ask(url: string, { method, headers = {}, body }: Asking = {}): Promise<Answered> {
  const bytes = body === undefined || Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  const request = httpRequest(url, {
    method: method ?? (bytes === undefined ? 'GET' : 'POST'),
    agent: false,
    headers: {
      ...(bytes === undefined ? {} : { 'content-type': 'application/json', 'content-length': bytes.length }),
      ...(headers as Record<string, string>),
    },
  });
  const answered = (async (): Promise<Answered> => {
    const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
      request.once('response', resolve).once('error', reject);
    });
    // An answer that comes before the whole request was sent ends the sending.
    request.on('error', () => undefined);
    const chunks: Buffer[] = [];
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
    const whole = Buffer.concat(chunks);
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      body: whole,
      get json() {
        return JSON.parse(whole.toString()) as Readonly<Record<string, unknown>>;
      },
    };
  })();
  request.end(bytes);
  return within(answered, () => `no answer from ${url}`);
}

/** Sends these bytes over a connection of their own, and gives what came back until its end. */
export async function sendRaw(port: number, bytes: string | Buffer): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(bytes);
  await within(
    once(socket, 'close'),
    () => `the server did not end the connection after ${chunks.length} chunks`,
  );
  return Buffer.concat(chunks).toString('latin1');
}

/** Below the ports that Linux, macOS and Windows give to whoever asks for any, so that nobody gets one of these by chance. */
const namedPorts = { from: 20_000, to: 32_000 } as const;

/** A port that nobody listens on now, with the next one free as well. */
export async function freePorts(): Promise<number> {
  for (;;) {
    const port = randomInt(namedPorts.from, namedPorts.to);
    const servers = await Promise.all([port, port + 1].map((one) => listen(one).catch(() => undefined)));
    await Promise.all(servers.map(async (server) => server && once(server.close(), 'close')));
    if (!servers.includes(undefined)) return port;
  }
}

async function listen(port: number): Promise<net.Server> {
  const server = net.createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
