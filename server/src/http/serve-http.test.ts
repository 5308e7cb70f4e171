import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { parseTcpAddress } from '../lock/bind-tcp.js';
import { checkToken, type Guard, hostNames, requireJson, tokenCheck } from './guard.js';
import { readBody } from './read-body.js';
import { type HttpLimits, type HttpServer, sendJson, serveHttp } from './serve-http.js';

/** What a client with bad manners gets from every HTTP server of ours: gateway, registry, babysitter and router. */

let running: HttpServer[] = [];

afterEach(async () => {
  const ended = running;
  running = [];
  await Promise.all(ended.map((server) => server.close()));
});

/** A server that answers a JSON body with its length, and counts what reached its handler and what was refused. */
async function serve(limits: Partial<HttpLimits> = {}, token?: string) {
  const reached: string[] = [];
  const refused: number[] = [];
  const guard: Guard = {
    hosts: hostNames('127.0.0.1'),
    origins: new Set(),
    token: token === undefined ? undefined : tokenCheck(token),
  };
  const server = await serveHttp({
    address: parseTcpAddress('127.0.0.1:0'),
    allowNonLoopback: false,
    hasKey: true,
    guard,
    limits,
    onRefused: (status) => refused.push(status),
    handler: async (request, response) => {
      checkToken(request, guard);
      requireJson(request);
      const body = await readBody(request, response, 1 << 20);
      reached.push(request.url ?? '');
      sendJson(response, 200, { length: body.length });
    },
  });
  running.push(server);
  return { port: server.address.port, reached, refused };
}

/** Sends these bytes and gives what comes back until the connection is over, whoever ends it. */
async function send(port: number, bytes: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  socket.on('error', () => undefined);
  socket.write(bytes, 'latin1');
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

const head = (more: string, method = 'POST'): string =>
  `${method} / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${more}\r\n`;
const typed = 'Content-Type: application/json\r\n';

describe('framing that two readers could take differently', () => {
  test.each([
    ['length and chunks', `${head(`${typed}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n`)}0\r\n\r\n`],
    ['chunks and length', `${head(`${typed}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n`)}0\r\n\r\n`],
    ['two lengths', `${head(`${typed}Content-Length: 2\r\nContent-Length: 3\r\n`)}{}`],
    ['a list of lengths', `${head(`${typed}Content-Length: 2, 2\r\n`)}{}`],
    ['a negative length', `${head(`${typed}Content-Length: -1\r\n`)}{}`],
    ['a length in hexadecimal', `${head(`${typed}Content-Length: 0x2\r\n`)}{}`],
    ['chunks that are not last', `${head(`${typed}Transfer-Encoding: chunked, gzip\r\n`)}0\r\n\r\n`],
    ['chunks with a tab before', `${head(`${typed}Transfer-Encoding:\x0bchunked\r\n`)}0\r\n\r\n`],
    ['a space before the colon', head('X-Odd : 1\r\n')],
    ['a folded line', head('X-Odd: 1\r\n 2\r\n')],
    ['a bare line feed', 'GET / HTTP/1.1\nHost: localhost\n\n'],
    ['a bare carriage return', 'GET / HTTP/1.1\rHost: localhost\r\r'],
    ['a NUL in a field', head('X-Odd: \x00\r\n')],
    [
      'a chunk whose size is no number',
      `${head(`${typed}Transfer-Encoding: chunked\r\n`)}zz\r\n{}\r\n0\r\n\r\n`,
    ],
    [
      'a chunk that is longer than it says',
      `${head(`${typed}Transfer-Encoding: chunked\r\n`)}1\r\n{}\r\n0\r\n\r\n`,
    ],
    [
      'a flood of chunk extensions',
      `${head(`${typed}Transfer-Encoding: chunked\r\n`)}2;${'x'.repeat(32_768)}\r\n{}\r\n0\r\n\r\n`,
    ],
    ['bare line feeds between chunks', `${head(`${typed}Transfer-Encoding: chunked\r\n`)}2\n{}\n0\n\n`],
    [
      'chunks in HTTP/1.0',
      `${head(`${typed}Transfer-Encoding: chunked\r\n`).replace('1.1', '1.0')}0\r\n\r\n`,
    ],
    ['a coding under the chunks', `${head(`${typed}Transfer-Encoding: gzip, chunked\r\n`)}0\r\n\r\n`],
    ['chunks twice', `${head(`${typed}${'Transfer-Encoding: chunked\r\n'.repeat(2)}`)}0\r\n\r\n`],
    ['another version', head('', 'GET').replace('1.1', '2.0')],
    ['another protocol', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ])('S10: %s is refused, reaches no handler, and ends the connection', async (_what, bytes) => {
    const { port, reached, refused } = await serve();
    // What follows would be a second request to whoever reads the first otherwise.
    const answer = await send(port, `${bytes}GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect(reached).toEqual([]);
    expect(refused).toEqual([400]);
  });

  test('S10: no field is overlooked because there are many before it', async () => {
    const { port, reached } = await serve();
    const many = 'a:\r\n'.repeat(197);
    const late = `${many}Content-Type: text/plain\r\n`;
    expect(await send(port, head(many, 'GET'))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await send(port, `${head(`${late}Content-Length: 2\r\n`)}{}`)).toMatch(/^HTTP\/1\.1 431 /);
    expect(await send(port, head(`${'a:\r\n'.repeat(2500)}Host: evil.example\r\n`))).toMatch(
      /^HTTP\/1\.1 431 /,
    );
    expect(await send(port, head('a:\r\n'.repeat(10_000)))).toMatch(/^HTTP\/1\.1 431 /);
    expect(reached).toHaveLength(1);
  });

  test('S10: what follows a request that ends its connection reaches no handler', async () => {
    const { port, reached, refused } = await serve();
    const wrong = 'GET /wrong HTTP/1.1\r\nHost: evil.example\r\n\r\n';
    const answer = await send(port, `${wrong}GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 403 /);
    expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
    expect([reached, refused]).toEqual([[], [403]]);
  });

  test('row 108: a client that goes on sending reads why its body was refused', async () => {
    const { port } = await serve();
    const sent = `${head(`${typed}Content-Length: 104857600\r\n`)}${'a'.repeat(2 << 20)}`;
    expect(await send(port, sent)).toMatch(/^HTTP\/1\.1 413 [^]*at most/);
  });

  test('a body that is refused is not read to its end', async () => {
    const { port } = await serve({}, 'right');
    // Without the end of the connection the rest of the body would be waited for.
    expect(
      await send(port, `POST / HTTP/1.1\r\nHost: localhost\r\n${typed}Content-Length: 9000000000\r\n\r\n{`),
    ).toMatch(/^HTTP\/1\.1 401 [^]*\r\nConnection: close\r\n/);
  });

  test('two tokens are none, in whatever order', async () => {
    const { port, reached } = await serve({}, 'right');
    const show = (...tokens: readonly string[]): string =>
      head(tokens.map((token) => `Authorization: Bearer ${token}\r\n`).join(''), 'GET');
    expect(await send(port, show('right'))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await send(port, show('right', 'wrong'))).toMatch(/^HTTP\/1\.1 401 /);
    expect(await send(port, show('wrong', 'right'))).toMatch(/^HTTP\/1\.1 401 /);
    expect(reached).toHaveLength(1);
  });

  test('CONNECT opens nothing, and the server lives on', async () => {
    const { port, reached } = await serve();
    const answer = await send(port, 'CONNECT 192.0.2.1:80 HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect(answer).not.toMatch(/^HTTP\/1\.1 200/);
    expect(await send(port, head('', 'GET'))).toMatch(/^HTTP\/1\.1 200 /);
    expect(reached).toHaveLength(1);
  });
});

describe('requests that are sent before answers are read', () => {
  /** A server whose answers wait for `release`, and tell when they are over. */
  async function hold() {
    const over: string[] = [];
    const waiting: (() => void)[] = [];
    const server = await serveHttp({
      address: parseTcpAddress('127.0.0.1:0'),
      allowNonLoopback: false,
      hasKey: true,
      guard: { hosts: hostNames('127.0.0.1'), origins: new Set(), token: undefined },
      limits: { pipelined: 4 },
      handler: ({ url = '' }, response) => {
        response.once('close', () => over.push(url));
        waiting.push(() => sendJson(response, 200, url));
      },
    });
    running.push(server);
    return { port: server.address.port, over, waiting };
  }
  const requests = (count: number): string =>
    Array.from({ length: count }, (_, index) => `GET /${index} HTTP/1.1\r\nHost: localhost\r\n\r\n`).join('');

  test('are answered in their order', async () => {
    const { port, waiting } = await hold();
    const socket = net.connect(port, '127.0.0.1');
    socket.write(requests(4));
    await vi.waitFor(() => expect(waiting).toHaveLength(4));
    for (const release of waiting.toReversed()) release();
    let text = '';
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      text += chunk.toString();
      if (text.includes('"/3"')) break;
    }
    expect(text.match(/"\/\d"/g)).toEqual(['"/0"', '"/1"', '"/2"', '"/3"']);
  });

  test('one too many ends the connection and begins nothing more, and every answer is over', async () => {
    const { port, over, waiting } = await hold();
    expect(await send(port, requests(5000))).toBe('');
    expect(waiting).toHaveLength(4);
    await vi.waitFor(() => expect(over.toSorted()).toEqual(['/0', '/1', '/2', '/3']));
  });

  test('a client that leaves ends the answers that wait for another too', async () => {
    const { port, over, waiting } = await hold();
    const socket = net.connect(port, '127.0.0.1');
    socket.write(requests(3));
    await vi.waitFor(() => expect(waiting).toHaveLength(3));
    socket.destroy();
    await vi.waitFor(() => expect(over.toSorted()).toEqual(['/0', '/1', '/2']));
  });
});

describe('clients that hold on', () => {
  test.each([
    ['a head', 'GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: '],
    ['a body', `POST / HTTP/1.1\r\nHost: localhost\r\n${typed}Content-Length: 100\r\n\r\n{`],
    ['a chunk', `POST / HTTP/1.1\r\nHost: localhost\r\n${typed}Transfer-Encoding: chunked\r\n\r\n64\r\n{`],
  ])('S10: %s that never ends is cut off with 408, and others are served meanwhile', async (_what, bytes) => {
    const { port, refused } = await serve({ headersTimeoutMs: 1500, requestTimeoutMs: 1500 });
    const slow = send(port, bytes);
    expect(await send(port, head('', 'GET'))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await slow).toMatch(/^HTTP\/1\.1 408 /);
    expect(refused).toEqual([408]);
  });

  test('S10: a head over its bound is 431 at once, in one field or in many', async () => {
    const { port } = await serve();
    expect(await send(port, head(`X-Long: ${'x'.repeat(20_000)}\r\n`))).toMatch(/^HTTP\/1\.1 431 /);
    expect(await send(port, head('X: 1\r\n'.repeat(4000)))).toMatch(/^HTTP\/1\.1 431 /);
  });

  test('connections over the bound are ended, and there is room again when one leaves', async () => {
    const { port } = await serve({ connections: 2 });
    const held = [net.connect(port, '127.0.0.1'), net.connect(port, '127.0.0.1')];
    await Promise.all(held.map((socket) => once(socket, 'connect')));
    // Accepted in their order: once a request of the second is answered, both count.
    const last = held[1];
    last?.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    if (last !== undefined) await once(last, 'data');
    expect(await send(port, head('', 'GET'))).toBe('');
    for (const socket of held) {
      socket.destroy();
      await once(socket, 'close');
    }
    let answer = '';
    for (let tries = 0; tries < 100 && answer === ''; tries += 1) answer = await send(port, head('', 'GET'));
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('row 108: a body over the bound is 413 before it has come, declared or not', async () => {
    const { port, reached } = await serve();
    expect(await send(port, head(`${typed}Content-Length: 104857600\r\n`))).toMatch(/^HTTP\/1\.1 413 /);
    const chunk = `80000\r\n${'a'.repeat(0x80000)}\r\n`;
    expect(await send(port, `${head(`${typed}Transfer-Encoding: chunked\r\n`)}${chunk.repeat(3)}`)).toMatch(
      /^HTTP\/1\.1 413 /,
    );
    expect(reached).toEqual([]);
  });
});
