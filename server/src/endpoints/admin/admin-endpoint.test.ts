import { once } from 'node:events';
import fs from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StatusBoard } from '../../status/status-board.js';
import { serveAdmin } from './admin-endpoint.js';

let directory: string;
let board: StatusBoard;
let server: net.Server;
const clients: net.Socket[] = [];

beforeEach(async () => {
  directory = await fs.mkdtemp(path.join(os.tmpdir(), 'hadm-'));
  board = new StatusBoard();
  server = net.createServer((socket) => {
    void serveAdmin(socket, board);
  });
  server.listen(path.join(directory, 's'));
  await once(server, 'listening');
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await new Promise((resolve) => server.close(resolve));
  await fs.rm(directory, { recursive: true });
});

async function connect(): Promise<net.Socket> {
  const accepted = once(server, 'connection');
  const client = net.connect(path.join(directory, 's'));
  clients.push(client);
  client.on('error', () => undefined);
  await accepted;
  return client;
}

function open(): Promise<number> {
  return new Promise((resolve) => {
    server.getConnections((_error, count) => {
      resolve(count);
    });
  });
}

const frames = 20_000;

test('row 54: a client that does not read falls behind and is disconnected; another that reads is not', async () => {
  const stalled = await connect();
  stalled.pause();
  const reader = await connect();
  let lines = 0;
  const all = new Promise<void>((resolve) => {
    reader.on('data', (chunk: Buffer) => {
      lines += chunk.toString('utf8').split('\n').length - 1;
      // The snapshot, and every frame.
      if (lines === frames + 1) resolve();
    });
  });
  for (let frame = 0; frame < frames; frame += 1) {
    board.publish({ id: 'admin', type: 'status', status: frame % 2 === 0 ? 'ready' : 'draining' });
    if (frame % 100 === 0) await new Promise(setImmediate);
  }
  await all;
  expect(await open()).toBe(1);
  expect(board.events.listenerCount('frame')).toBe(1);
});

test('row 55: what a client writes is ignored', async () => {
  const client = await connect();
  client.write('{"status":"drain"}\ngarbage');
  const [first] = (await once(client, 'data')) as [Buffer];
  expect(JSON.parse(first.toString('utf8'))).toEqual({ id: 'admin', type: 'status', status: 'starting' });
  board.publish({ id: 'admin', type: 'status', status: 'ready' });
  const [second] = (await once(client, 'data')) as [Buffer];
  expect(JSON.parse(second.toString('utf8'))).toMatchObject({ status: 'ready' });
});
