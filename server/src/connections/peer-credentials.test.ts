import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readPeerCredentials } from './peer-credentials.js';

let root: string;
let server: net.Server;
const cleanups: (() => unknown)[] = [];
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-peer-'));
  server = net.createServer();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
  await new Promise((resolve) => server.close(resolve));
  fs.rmSync(root, { recursive: true, force: true });
});

async function accept(connect: () => unknown): Promise<net.Socket> {
  const connection = once(server, 'connection');
  connect();
  const [socket] = (await connection) as [net.Socket];
  socket.on('error', () => undefined);
  cleanups.push(() => socket.destroy());
  return socket;
}

async function listen(): Promise<string> {
  const socketPath = path.join(root, 's');
  server.listen(socketPath);
  await once(server, 'listening');
  return socketPath;
}

describe.runIf(process.platform === 'linux' || process.platform === 'darwin')('row 42: peer identity', () => {
  it('is the uid, gid and pid of this process where it is its own peer', async () => {
    const socketPath = await listen();
    const socket = await accept(() => {
      const client = net.connect(socketPath);
      cleanups.push(() => client.destroy());
    });
    expect(readPeerCredentials(socket)).toEqual({
      uid: process.getuid?.(),
      gid: process.getgid?.(),
      pid: process.pid,
    });
  });

  it('is the pid of another process, also when asked again', async () => {
    const socketPath = await listen();
    const script = `require('net').connect(${JSON.stringify(socketPath)})`;
    let pid: number | undefined;
    const socket = await accept(() => {
      const child = spawn(process.execPath, ['-e', script], { stdio: 'inherit' });
      pid = child.pid;
      cleanups.push(async () => {
        const exit = once(child, 'exit');
        child.kill('SIGKILL');
        await exit;
      });
    });
    expect(readPeerCredentials(socket)?.pid).toBe(pid);
    expect(readPeerCredentials(socket)?.pid).toBe(pid);
  });

  it.runIf(process.getuid?.() === 0)('is the uid of another user', async () => {
    fs.chmodSync(root, 0o755);
    const socketPath = await listen();
    fs.chmodSync(socketPath, 0o666);
    const script = `require('net').connect(${JSON.stringify(socketPath)})`;
    const socket = await accept(() => {
      const child = spawn(process.execPath, ['-e', script], { stdio: 'inherit', uid: 12_345, gid: 23_456 });
      cleanups.push(async () => {
        const exit = once(child, 'exit');
        child.kill('SIGKILL');
        await exit;
      });
    });
    expect(readPeerCredentials(socket)).toMatchObject({ uid: 12_345, gid: 23_456 });
  });

  it('is never invented: not for TCP, not for a socket that is closed or was never open', async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no address');
    const socket = await accept(() => {
      const client = net.connect(address.port, '127.0.0.1');
      cleanups.push(() => client.destroy());
    });
    expect(readPeerCredentials(socket)).toBeUndefined();
    socket.destroy();
    expect(readPeerCredentials(socket)).toBeUndefined();
    expect(readPeerCredentials(new net.Socket())).toBeUndefined();
  });
});
