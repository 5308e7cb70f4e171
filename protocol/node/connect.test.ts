import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConnectionLostError } from '../src/client.js';
import { encodeFrame, NdjsonDecoder, parseLine } from '../src/ndjson.js';
import { connect } from './connect.js';
import type { Clock } from './dial.js';
import { ConnectError, dial } from './dial.js';
import { watchAdmin } from './watch-admin.js';

let directory: string;
let path: string;
const servers: net.Server[] = [];
const sockets = new Set<net.Socket>();

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'hearth-'));
  path = join(directory, 's');
});

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  await rm(directory, { recursive: true });
});

/** Listens at `where`, by default at the path, and hands each connection to `serve`. */
async function listen(
  serve: (socket: net.Socket) => void,
  where: net.ListenOptions = { path },
): Promise<net.Server> {
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    serve(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(where, resolve));
  return server;
}

/** Answers every request with one done frame, and keeps what came. */
function answering(received: unknown[]): (socket: net.Socket) => void {
  return (socket) => {
    const decoder = new NdjsonDecoder();
    socket.on('data', (chunk: Uint8Array) => {
      for (const line of decoder.push(chunk)) {
        const parsed = parseLine(line);
        if (parsed.kind !== 'value') continue;
        received.push(parsed.value);
        if (parsed.value['type'] === 'auth') continue;
        const usage = { prompt_tokens: 0, completion_tokens: 0 };
        const done = {
          id: parsed.value['id'],
          type: 'done',
          content: 'ok',
          usage,
          stop_reason: 'end',
          backend: 'mock',
        };
        socket.write(encodeFrame(done));
      }
    });
  };
}

/** A clock that jumps ahead instead of waiting. `before` runs ahead of each wait with its number. */
function jumpingClock(
  before: (count: number) => Promise<unknown> = () => Promise.resolve(),
): Clock & { waits: number[] } {
  let now = 0;
  const waits: number[] = [];
  return {
    waits,
    now: () => now,
    sleep: async (ms) => {
      waits.push(ms);
      now += ms;
      await before(waits.length);
    },
  };
}

const messages = [{ role: 'user' as const, content: 'hi' }];

describe('connecting', () => {
  test('row 172: while the socket is absent it waits 100 ms, doubling to 5 s, and gives up after 30 s', async () => {
    const clock = jumpingClock();
    await expect(dial({ path }, { clock })).rejects.toMatchObject({
      name: 'ConnectError',
      code: 'ENOENT',
      attempts: 12,
    });
    expect(clock.waits).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000, 3700]);
    expect(clock.now()).toBe(30_000);
  });

  test('row 172: a daemon that comes up meanwhile is found', async () => {
    const clock = jumpingClock(async (count) => {
      if (count === 3) await listen(answering([]));
    });
    const client = await connect({ path }, { clock });
    expect(await client.complete({ messages })).toMatchObject({ content: 'ok' });
    expect(clock.waits).toEqual([100, 200, 400]);
    client.close();
  });

  test('row 172: a refusing port is tried again', async () => {
    const server = await listen(() => undefined, { host: '127.0.0.1', port: 0 });
    const { port } = server.address() as net.AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    servers.length = 0;
    const clock = jumpingClock();
    const attempt = dial({ host: '127.0.0.1', port }, { clock, timeoutMs: 250 });
    await expect(attempt).rejects.toMatchObject({ code: 'ECONNREFUSED', attempts: 3 });
    expect(clock.waits).toEqual([100, 150]);
  });

  test('row 172: any other failure is final at once', async () => {
    await writeFile(join(directory, 'file'), '');
    const clock = jumpingClock();
    const attempt = dial({ path: join(directory, 'file', 'below') }, { clock });
    await expect(attempt).rejects.toMatchObject({ name: 'ConnectError', code: 'ENOTDIR', attempts: 1 });
    expect(clock.waits).toEqual([]);
  });

  test('a timeout of 0 tries once', async () => {
    const clock = jumpingClock();
    await expect(dial({ path }, { clock, timeoutMs: 0 })).rejects.toBeInstanceOf(ConnectError);
    expect(clock.waits).toEqual([]);
  });

  test('aborting ends the waiting with the reason', async () => {
    const controller = new AbortController();
    const attempt = connect({ path }, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(attempt).rejects.toThrow('enough');
  });
});

describe('over a socket', () => {
  test('row 40: the key is the first frame, and only where there is one', async () => {
    const received: unknown[] = [];
    const server = await listen(answering(received), { host: '127.0.0.1', port: 0 });
    const { port } = server.address() as net.AddressInfo;
    for (const key of ['secret', undefined]) {
      const client = await connect({ host: '127.0.0.1', port, ...(key === undefined ? {} : { key }) });
      await client.complete({ id: 'a', messages });
      client.close();
    }
    const request = { id: 'a', messages };
    expect(received).toEqual([{ type: 'auth', key: 'secret' }, request, request]);
  });

  test('row 173: aborting closes the socket', async () => {
    const controller = new AbortController();
    const seen = new Promise<void>((resolve) => {
      void listen((socket) => {
        socket.once('data', () => {
          controller.abort();
        });
        socket.on('close', () => {
          resolve();
        });
      });
    });
    const client = await connect({ path });
    await expect(client.complete({ messages }, { signal: controller.signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
    await seen;
  });

  test('row 173: a daemon that goes away is a lost connection', async () => {
    await listen((socket) => {
      socket.once('data', () => socket.destroy());
    });
    const client = await connect({ path });
    await expect(client.complete({ messages })).rejects.toThrow(ConnectionLostError);
    await expect(client.complete({ messages })).rejects.toThrow(ConnectionLostError);
  });

  test('a request larger than the buffers of the kernel arrives whole', async () => {
    const received: unknown[] = [];
    await listen(answering(received));
    const client = await connect({ path });
    const request = { id: 'a', messages: [{ role: 'user' as const, content: 'é'.repeat(4_000_000) }] };
    await client.complete(request);
    client.close();
    expect(received).toEqual([request]);
  });
});

describe('watching the admin socket', () => {
  const admin = { id: 'admin', type: 'status' };
  const frames = [
    { ...admin, status: 'starting' },
    { ...admin, status: 'loading_model', phase: 'kv_cache', n_ctx: 4096 },
    { ...admin, status: 'ready' },
  ];

  test('row 57: known frames come until the daemon closes, unknown ones are passed over', async () => {
    await listen((socket) => {
      socket.write(encodeFrame({ ...admin, status: 'dreaming' }));
      for (const frame of frames) socket.write(encodeFrame(frame));
      socket.end();
    });
    const seen = [];
    for await (const frame of watchAdmin(path)) seen.push(frame);
    expect(seen).toEqual(frames);
  });

  test('aborting ends the watch without an error', async () => {
    const controller = new AbortController();
    await listen((socket) => {
      for (const frame of frames) socket.write(encodeFrame(frame));
    });
    const seen = [];
    for await (const frame of watchAdmin(path, { signal: controller.signal })) {
      seen.push(frame);
      if (frame.status === 'ready') controller.abort();
    }
    expect(seen).toEqual(frames);
    for await (const frame of watchAdmin(path, { signal: controller.signal })) seen.push(frame);
    expect(seen).toEqual(frames);
  });

  test('aborting while nothing comes ends the watch too', async () => {
    const controller = new AbortController();
    await listen((socket) => {
      socket.on('close', () => undefined);
      controller.abort();
    });
    for await (const frame of watchAdmin(path, { signal: controller.signal })) throw new Error(frame.status);
  });

  test('without a daemon it is a ConnectError, and something else is a ProtocolError', async () => {
    await expect(watchAdmin(path, { timeoutMs: 0 }).next()).rejects.toMatchObject({ code: 'ENOENT' });
    await listen((socket) => {
      socket.end('HTTP/1.1 400 Bad Request\r\n');
    });
    await expect(watchAdmin(path).next()).rejects.toMatchObject({ name: 'ProtocolError' });
  });
});
