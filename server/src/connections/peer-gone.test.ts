import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isPeerGone, watchPeerGone } from './peer-gone.js';

let root: string;
let socketPath: string;
let server: net.Server;
const cleanups: (() => unknown)[] = [];
beforeEach(async () => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-gone-'));
  socketPath = path.join(root, 's');
  server = net.createServer({ allowHalfOpen: true });
  server.listen(socketPath);
  await once(server, 'listening');
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
  await new Promise((resolve) => server.close(resolve));
  fs.rmSync(root, { recursive: true, force: true });
});

/** A client in this process and its other end. */
async function pair(): Promise<{ readonly client: net.Socket; readonly socket: net.Socket }> {
  const connection = once(server, 'connection');
  const client = net.connect({ path: socketPath, allowHalfOpen: true });
  const [socket] = (await connection) as [net.Socket];
  for (const end of [client, socket]) {
    end.on('error', () => undefined).resume();
    cleanups.push(() => end.destroy());
  }
  return { client, socket };
}

/** A client in a process of its own that runs `script` with `socket` once it is connected. */
async function otherProcess(
  script: string,
): Promise<{ readonly child: ChildProcess; readonly socket: net.Socket }> {
  const connection = once(server, 'connection');
  const code = `
    const socket = require('net').connect({ path: ${JSON.stringify(socketPath)}, allowHalfOpen: true }, () => { ${script} });
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['-e', code], { stdio: 'inherit' });
  cleanups.push(() => kill(child));
  const [socket] = (await connection) as [net.Socket];
  socket.on('error', () => undefined).resume();
  cleanups.push(() => socket.destroy());
  return { child, socket };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

const gone = (socket: net.Socket): Promise<void> =>
  new Promise((resolve) => {
    cleanups.push(watchPeerGone(socket, resolve));
  });

describe.runIf(process.platform === 'linux' || process.platform === 'darwin')(
  'rows 66 to 68: a peer that has gone',
  () => {
    it('is not gone while it is connected', async () => {
      const { socket } = await pair();
      expect(isPeerGone(socket)).toBe(false);
    });

    it('is not gone when it has only ended its writing half, right at the end event and later; it is answered', async () => {
      const { client, socket } = await pair();
      client.end('question');
      await once(socket, 'end');
      expect(isPeerGone(socket)).toBe(false);
      const answer = once(client, 'data');
      socket.write('answer');
      expect(String((await answer)[0])).toBe('answer');
      expect(isPeerGone(socket)).toBe(false);
    });

    it('is gone when it has closed, known right at the end event', async () => {
      const { client, socket } = await pair();
      const known = once(socket, 'end').then(() => isPeerGone(socket));
      client.destroy();
      expect(await known).toBe(true);
    });

    it('is gone after kill -9, known right at the end event', async () => {
      const { child, socket } = await otherProcess('');
      const known = once(socket, 'end').then(() => isPeerGone(socket));
      child.kill('SIGKILL');
      expect(await known).toBe(true);
    });

    it('is gone by kill -9 after it had ended its writing half: the watch tells, and no event does', async () => {
      const { child, socket } = await otherProcess(`socket.end('question');`);
      await once(socket, 'end');
      expect(isPeerGone(socket)).toBe(false);
      let closed = false;
      socket.on('close', () => (closed = true));
      const told = gone(socket);
      child.kill('SIGKILL');
      await told;
      expect(closed).toBe(false);
    });

    it('is gone by a close after it had ended its writing half', async () => {
      const { client, socket } = await pair();
      client.end();
      await once(socket, 'end');
      const told = gone(socket);
      client.destroy();
      await told;
    });

    it('is seen to be gone while nobody reads', async () => {
      const { client, socket } = await pair();
      socket.pause();
      client.write('unread');
      const told = gone(socket);
      client.destroy();
      await told;
    });

    it('cannot be known of a socket that is closed, or was never open', async () => {
      const { socket } = await pair();
      socket.destroy();
      expect(isPeerGone(socket)).toBeUndefined();
      expect(isPeerGone(new net.Socket())).toBeUndefined();
    });
  },
);

describe.runIf(process.platform === 'linux' || process.platform === 'darwin')('the watch', () => {
  it('tells at once, but not before it has returned, of a peer that has gone already', async () => {
    const { client, socket } = await pair();
    client.destroy();
    await once(socket, 'end');
    let told = 0;
    const stop = watchPeerGone(socket, () => (told += 1), { intervalMs: 3_600_000 });
    expect(told).toBe(0);
    await Promise.resolve();
    expect(told).toBe(1);
    stop();
  });

  it('tells once only', async () => {
    const { client, socket } = await pair();
    client.destroy();
    await once(socket, 'end');
    let told = 0;
    watchPeerGone(socket, () => (told += 1), { intervalMs: 1 });
    // A second watch that is told later than a second look of the first.
    await Promise.resolve();
    await gone(socket);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(told).toBe(1);
  });

  it('tells nothing after it was stopped, nor after the socket has closed, and leaves no listener', async () => {
    const { client, socket } = await pair();
    client.end();
    await once(socket, 'end');
    const listeners = socket.listenerCount('close');
    const told: string[] = [];
    const stop = watchPeerGone(socket, () => told.push('stopped'), { intervalMs: 1 });
    stop();
    stop();
    expect(socket.listenerCount('close')).toBe(listeners);
    watchPeerGone(socket, () => told.push('closed'), { intervalMs: 1 });
    socket.destroy();
    await once(socket, 'close');
    client.destroy();
    await once(client, 'close');
    expect(told).toEqual([]);
  });
});
