import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { GenerateRequestMessage, HealthRequest } from '@hearth/protocol';
import {
  createMessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { DaemonApi } from '../../daemon-api.js';
import { fakeDaemon, type FakeScript } from './fake-daemon.js';
import { serveRpc, type RpcConnection, type RpcOptions } from './serve-rpc.js';

const cleanup: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanup.splice(0).reverse()) clean();
});

/** A connection over streams, which the test writes and reads byte by byte. */
function overStreams(daemon: DaemonApi, options?: RpcOptions) {
  const toServer = new PassThrough();
  const fromServer = new PassThrough();
  const server = serveRpc(toServer, fromServer, daemon, options);
  cleanup.push(() => server.dispose());
  return { toServer, fromServer, server };
}

/** A connection over one socket that is input and output, as the daemon has it. */
async function overSocket(
  daemon: DaemonApi,
  options?: RpcOptions,
): Promise<{ server: RpcConnection; client: MessageConnection; socket: Socket }> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const accepted = once(listener, 'connection') as Promise<[Socket]>;
  const socket = connect((listener.address() as AddressInfo).port, '127.0.0.1');
  const [there] = await accepted;
  listener.close();
  const server = serveRpc(there, there, daemon, options);
  socket.on('error', () => undefined);
  cleanup.push(() => {
    socket.destroy();
    server.dispose();
  });
  const client = createMessageConnection(new StreamMessageReader(socket), new StreamMessageWriter(socket));
  client.listen();
  return { server, client, socket };
}

function frame(message: unknown): string {
  const body = typeof message === 'string' ? message : JSON.stringify(message);
  return `Content-Length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`;
}

const call = (id: number | string, method: string, params?: unknown): string =>
  frame({ jsonrpc: '2.0', id, method, params });

/** Reads all that comes, and gives the messages so far. */
function collect(stream: PassThrough): () => readonly Record<string, unknown>[] {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  return () =>
    text
      .split(/Content-Length: \d+\r\n\r\n/)
      .filter((body) => body !== '')
      .map((body) => JSON.parse(body) as Record<string, unknown>);
}

const generateParams = { request: { prompt: 'x' }, client: 'ask', progressToken: 't' };

describe('a peer that does not read', () => {
  it('loses its connection and the place of its generation after the write timeout', async () => {
    const endless: FakeScript = {
      generate: function* () {
        for (;;) yield 'x'.repeat(10_000);
      },
    };
    const daemon = fakeDaemon(endless);
    const { server, client, socket } = await overSocket(daemon, { writeTimeoutMs: 50 });
    socket.pause();
    client.sendRequest(GenerateRequestMessage.method, generateParams).catch(() => undefined);
    expect(await server.closed).toBe('slow');
    await vi.waitFor(() => expect(daemon.generations[0]?.ended).toBe(true));
  });

  it('is not read from beyond a bound, and is served in full once it reads', async () => {
    const daemon = fakeDaemon();
    const health = vi.spyOn(daemon, 'health');
    const { toServer, fromServer } = overStreams(daemon);
    const count = 2000;
    for (let id = 0; id < count; id += 1) toServer.write(call(id, HealthRequest.method));
    // A turn of the event loop dispatches one message: this is long enough for all of them.
    for (let turn = 0; turn < 2 * count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(health.mock.calls.length).toBeGreaterThan(0);
    expect(health.mock.calls.length).toBeLessThan(300);
    const messages = collect(fromServer);
    await vi.waitFor(() => expect(messages()).toHaveLength(count));
    expect(messages().map(({ id }) => id)).toEqual(Array.from({ length: count }, (_, id) => id));
  });

  it('cannot pile up what is ignored or refused either', async () => {
    const { toServer, fromServer } = overStreams(fakeDaemon());
    const flood = frame({ jsonrpc: '2.0', method: 'some/notification' }) + frame('[]');
    for (let index = 0; index < 2000; index += 1) toServer.write(flood);
    toServer.write(call('last', HealthRequest.method));
    for (let turn = 0; turn < 4000; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(toServer.readableLength + toServer.writableLength).toBeGreaterThan(flood.length * 1000);
    const messages = collect(fromServer);
    await vi.waitFor(() => expect(messages().at(-1)).toMatchObject({ id: 'last' }));
  });
});

describe('end', () => {
  it('lets a generation that has just ended be answered, over a socket that is input and output', async () => {
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const daemon = fakeDaemon({
      generate: async function* () {
        yield 'one';
        await finished;
        yield ' two';
      },
    });
    const { server, client } = await overSocket(daemon);
    const first = new Promise<void>((resolve) =>
      client.onProgress(GenerateRequestMessage.progress, 't', () => resolve()),
    );
    const answer = client.sendRequest(GenerateRequestMessage.method, generateParams);
    await first;
    finish();
    const end = server.end();
    expect(await answer).toMatchObject({ content: 'one two' });
    await end;
    expect(await server.closed).toBe('disposed');
  });

  it('aborts what does not end, and does not wait for a peer that does not read', async () => {
    const daemon = fakeDaemon({
      generate: async function* ({ signal }) {
        yield 'x'.repeat(10_000_000);
        await once(signal, 'abort');
      },
    });
    const { server, client, socket } = await overSocket(daemon);
    socket.pause();
    client.sendRequest(GenerateRequestMessage.method, generateParams).catch(() => undefined);
    await vi.waitFor(() => expect(daemon.generations).toHaveLength(1));
    await server.end();
    expect(daemon.generations[0]?.signal.aborted).toBe(true);
    await server.end();
  });

  it('is at once where nothing runs', async () => {
    const { server, client } = await overSocket(fakeDaemon());
    const closed = new Promise<void>((resolve) => client.onClose(resolve));
    await Promise.all([server.end(), closed]);
  });
});

describe('a frame', () => {
  it.each([
    [
      'with too many values',
      `{"jsonrpc":"2.0","id":1,"method":"hearth/health","x":[${'[],'.repeat(300_000)}0]}`,
    ],
    [
      'nested too deep',
      `{"jsonrpc":"2.0","id":1,"method":"hearth/health","x":${'['.repeat(200)}${']'.repeat(200)}}`,
    ],
    [
      'that is not UTF-8',
      Buffer.from('{"jsonrpc":"2.0","id":1,"method":"hearth/health","x":"\xff"}', 'latin1'),
    ],
  ])('%s is answered with a parse error, and the next is served', async (_name, body) => {
    const { toServer, fromServer } = overStreams(fakeDaemon());
    const messages = collect(fromServer);
    toServer.write(`Content-Length: ${String(body.length)}\r\n\r\n`);
    toServer.write(body);
    toServer.write(call(2, HealthRequest.method));
    await vi.waitFor(() => expect(messages()).toHaveLength(2));
    expect(messages()[0]).toMatchObject({
      id: null,
      error: { code: -32700, data: { code: 'invalid_request' } },
    });
    expect(messages()[1]).toMatchObject({ id: 2, result: { state: 'ready' } });
  });

  it('does not hang on the chunks that it came in', async () => {
    const { toServer, fromServer } = overStreams(fakeDaemon());
    const messages = collect(fromServer);
    const bytes = Buffer.from(call('abcdefgh', HealthRequest.method));
    const half = bytes.length - 10;
    const chunk = Buffer.from(bytes.subarray(0, half));
    toServer.write(chunk);
    await vi.waitFor(() => expect(toServer.readableLength).toBe(0));
    chunk.fill(0);
    toServer.write(bytes.subarray(half));
    await vi.waitFor(() => expect(messages()[0]).toMatchObject({ id: 'abcdefgh', result: {} }));
  });
});

describe('an error', () => {
  const secret = 'SECRET';
  it.each([
    ['an unknown method', secret, {}, -32601],
    ['parameters by position', GenerateRequestMessage.method, [secret], -32602],
    ['parameters by position where none are taken', HealthRequest.method, [secret], -32602],
    ['parameters that are a text', GenerateRequestMessage.method, secret, -32602],
    ['no parameters where some are needed', GenerateRequestMessage.method, undefined, -32803],
    ['a state that forbids it', 'textDocument/inlineCompletion', {}, -32002],
  ])('for %s has a code of ours and no word of the peer', async (_name, method, params, code) => {
    const { toServer, fromServer } = overStreams(fakeDaemon());
    const messages = collect(fromServer);
    toServer.write(call(1, method, params));
    await vi.waitFor(() => expect(messages()).toHaveLength(1));
    expect(messages()[0]).toMatchObject({
      id: 1,
      error: { code, data: { code: 'invalid_request', retryable: false } },
    });
    expect(JSON.stringify(messages()[0])).not.toContain(secret);
  });

  it('comes for an id that is in use, and for a message without a method', async () => {
    const { toServer, fromServer } = overStreams(fakeDaemon());
    const messages = collect(fromServer);
    toServer.write(call(1, HealthRequest.method) + call(1, HealthRequest.method) + frame({ jsonrpc: '2.0' }));
    await vi.waitFor(() => expect(messages()).toHaveLength(3));
    expect(messages().filter(({ id }) => id === null)).toMatchObject([
      { error: { code: -32600 } },
      { error: { code: -32600 } },
    ]);
  });

  it('is no more than silence for a notification that is unknown or wrong', async () => {
    const { toServer, fromServer } = overStreams(fakeDaemon());
    const messages = collect(fromServer);
    const textDocument = { uri: 'test:/a', languageId: 'x', version: 1, text: 5 };
    for (const [method, params] of [
      [secret, [secret]],
      ['textDocument/didOpen', { textDocument }],
      ['textDocument/didChange', [secret]],
      ['textDocument/didClose', undefined],
    ] as const) {
      toServer.write(frame({ jsonrpc: '2.0', method, params }));
    }
    toServer.write(call(1, HealthRequest.method, {}));
    await vi.waitFor(() => expect(messages()).toMatchObject([{ id: 1, result: { state: 'ready' } }]));
  });
});
