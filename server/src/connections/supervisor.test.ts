import { once } from 'node:events';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { ActivityEvent } from '@hearth/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ConnectionSupervisor, type ListenerOptions, type Service } from './supervisor.js';

let directory: string;
let server: net.Server;
let records: ActivityEvent[];
let clients: net.Socket[];

beforeEach(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), 'hsup-'));
  records = [];
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  await new Promise((resolve) => server.close(resolve));
  await fs.rm(directory, { recursive: true });
});

/** A supervisor behind a real socket. `serve` decides what becomes of each connection. */
async function listen(
  options: Partial<ListenerOptions> & { readonly limit?: number; readonly now?: () => number } = {},
): Promise<ConnectionSupervisor> {
  const supervisor = new ConnectionSupervisor({
    limit: options.limit ?? 8,
    record: (_level, _component, event) => records.push(event),
    now: options.now ?? (() => performance.now()),
  });
  server = net.createServer(supervisor.listener({ kind: 'inference', serve: untilClosed, ...options }));
  server.listen(path.join(directory, 's'));
  await once(server, 'listening');
  return supervisor;
}

function untilClosed(socket: net.Socket): Service {
  socket.on('error', () => undefined);
  socket.resume();
  return { done: once(socket, 'close') };
}

/** Connects and waits until the server has it. */
async function connect(): Promise<net.Socket> {
  const accepted = once(server, 'connection');
  const client = net.connect(path.join(directory, 's'));
  client.on('error', () => undefined);
  clients.push(client);
  await accepted;
  return client;
}

/** All that a client is told before the end. */
async function heard(client: net.Socket): Promise<string> {
  let text = '';
  client.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  if (!client.closed) await once(client, 'close');
  return text;
}

describe('the connection supervisor', () => {
  it('row 140: two connections have two ids; when one crashes the other is still tracked', async () => {
    const crashes: ((error: Error) => void)[] = [];
    const supervisor = await listen({
      serve: () => ({ done: new Promise((_resolve, reject) => crashes.push(reject)) }),
    });
    const one = await connect();
    const two = await connect();
    const [first, second] = supervisor.live;
    expect(first?.id).not.toBe(second?.id);
    expect(supervisor.count()).toBe(2);

    crashes[0]?.(new TypeError('secret content'));
    await heard(one);
    expect(supervisor.live).toEqual([second]);
    expect(two.closed).toBe(false);
    // The name of the error and no more: its message may hold anything.
    expect(records).toEqual([{ msg: 'internal_error', where: 'inference connection', error: 'TypeError' }]);
  });

  it('row 140: a service that throws as it begins ends its own connection only', async () => {
    let count = 0;
    const supervisor = await listen({
      serve: (socket) => {
        count += 1;
        if (count === 1) throw new RangeError('no');
        return untilClosed(socket);
      },
    });
    await heard(await connect());
    await connect();
    expect(supervisor.count()).toBe(1);
  });

  it('row 141: a client that is cut off is untracked within 2 s', async () => {
    const supervisor = await listen();
    const client = await connect();
    expect(supervisor.count('inference')).toBe(1);
    const since = performance.now();
    client.destroy();
    await supervisor.unused();
    expect(performance.now() - since).toBeLessThan(2000);
    expect(supervisor.live).toEqual([]);
  });

  it('row 142: force close gives each client its notice, then removes it', async () => {
    const supervisor = await listen({
      serve: (socket) => ({
        ...untilClosed(socket),
        farewell: async (reason) => new Promise((resolve) => socket.write(`${reason}\n`, () => resolve())),
      }),
    });
    const told = Promise.all([heard(await connect()), heard(await connect())]);
    await supervisor.closeAll(500);
    expect(supervisor.count()).toBe(0);
    expect(await told).toEqual(['closing\n', 'closing\n']);
  });

  it('row 142: a goodbye that hangs and a peer that does not read hold up nobody', async () => {
    const supervisor = await listen({
      serve: (socket) => ({ ...untilClosed(socket), farewell: () => new Promise(() => undefined) }),
    });
    const mute = await connect();
    mute.pause();
    const since = performance.now();
    await supervisor.closeAll(50);
    await supervisor.unused();
    expect(performance.now() - since).toBeLessThan(15_000);
  });

  it('row 143: a notice of the drain comes before the close, and the connection stays tracked', async () => {
    const supervisor = await listen({
      serve: (socket) => ({
        ...untilClosed(socket),
        farewell: async (reason) => new Promise((resolve) => socket.write(`${reason}\n`, () => resolve())),
      }),
    });
    const client = await connect();
    const told = heard(client);
    await supervisor.notifyAll('draining');
    expect(supervisor.count()).toBe(1);
    await supervisor.closeAll(500);
    expect(await told).toBe('draining\nclosing\n');
  });

  it('row 155: one over the limit is told why, and the others are left alone', async () => {
    const supervisor = await listen({
      limit: 3,
      keptBack: 1,
      refusal: (most) => Buffer.from(`at most ${most}`),
    });
    await connect();
    const second = await connect();
    expect(await heard(await connect())).toBe('at most 2');
    expect(supervisor.count()).toBe(2);
    expect(records).toEqual([{ msg: 'connections_shed', count: 1, limit: 3 }]);
    second.destroy();
    await once(second, 'close');
    await new Promise((resolve) => setImmediate(resolve));
    await connect();
    expect(supervisor.count()).toBe(2);
  });

  it('row 148: nobody is admitted once the end has begun', async () => {
    const supervisor = await listen();
    supervisor.refuseNew();
    expect(await heard(await connect())).toBe('');
    expect(supervisor.count()).toBe(0);
  });

  it('counts a peer without a socket as use, and forgets it when it ends', async () => {
    const supervisor = await listen();
    let end: () => void = () => undefined;
    supervisor.adopt('rpc', { done: new Promise<void>((resolve) => (end = resolve)) });
    expect(supervisor.count('rpc')).toBe(1);
    end();
    await supervisor.unused();
    expect(supervisor.count()).toBe(0);
  });
});
