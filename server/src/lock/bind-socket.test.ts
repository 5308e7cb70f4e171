import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bindSocket, type BindSocketOptions, type BoundSocket } from './bind-socket.js';
import { KernelLock } from './kernel-lock.js';
import { StartupError } from './startup-error.js';

let root: string;
let socketPath: string;
let lock: KernelLock;
const cleanups: (() => unknown)[] = [];

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-bind-'));
  socketPath = path.join(root, 'hearth.sock');
  lock = KernelLock.acquire(path.join(root, 'hearth.lock'));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
  lock.release();
  fs.rmSync(root, { recursive: true, force: true });
});

async function bind(options: Partial<BindSocketOptions> = {}): Promise<BoundSocket> {
  const bound = await bindSocket({
    lock,
    path: socketPath,
    mode: 0o660,
    onConnection: (s) => s.destroy(),
    ...options,
  });
  cleanups.push(() => bound.close());
  return bound;
}

async function refusal(options: Partial<BindSocketOptions> = {}): Promise<StartupError> {
  const error: unknown = await bind(options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StartupError)) throw new Error('expected a StartupError', { cause: error });
  return error;
}

async function connect(): Promise<net.Socket> {
  const socket = net.connect({ path: socketPath });
  cleanups.push(() => socket.destroy());
  await once(socket, 'connect');
  // The server may drop it at any time.
  socket.on('error', () => undefined);
  return socket;
}

/** Leaves a socket file behind that nobody listens on, as a daemon that was killed does. */
async function leaveDeadSocket(): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(socketPath)}, () => console.log(1))`;
  const child: ChildProcess = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (child.stdout === null) throw new Error('no stdout');
  await once(child.stdout, 'data');
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

describe('row 37: the socket file', () => {
  it.each([0o660, 0o600] as const)('rows 37, 56, S3: is bound with mode %o under umask 000', async (mode) => {
    const previous = process.umask(0);
    await bind({ mode });
    // What was set before comes back: the bind has put its own umask away.
    expect(process.umask(previous)).toBe(0);
    expect(fs.lstatSync(socketPath).mode & 0o777).toBe(mode);
  });

  it('S3: has its mode at the instant it appears: listening on a path binds before it returns', () => {
    const server = net.createServer();
    cleanups.push(() => server.close());
    const previous = process.umask(0o177);
    try {
      server.listen(socketPath);
    } finally {
      process.umask(previous);
    }
    expect(fs.lstatSync(socketPath).mode & 0o777).toBe(0o600);
  });

  it('replaces the socket of a daemon that was killed', async () => {
    await leaveDeadSocket();
    const before = fs.lstatSync(socketPath);
    expect(before.isSocket()).toBe(true);
    await bind();
    await connect();
  });

  it('S24: leaves a symbolic link and its target, even where the target is a dead socket', async () => {
    await leaveDeadSocket();
    const target = path.join(root, 'elsewhere.sock');
    fs.renameSync(socketPath, target);
    fs.symlinkSync(target, socketPath);
    const error = await refusal();
    expect(error.kind).toBe('socket_unsafe');
    expect(error.message).toContain(socketPath);
    expect(fs.lstatSync(socketPath).isSymbolicLink()).toBe(true);
    expect(fs.lstatSync(target).isSocket()).toBe(true);
  });

  it('S24: leaves a file and a directory', async () => {
    fs.writeFileSync(socketPath, 'precious');
    expect((await refusal()).kind).toBe('socket_unsafe');
    expect(fs.readFileSync(socketPath, 'utf8')).toBe('precious');
    fs.rmSync(socketPath);
    fs.mkdirSync(socketPath);
    expect((await refusal()).kind).toBe('socket_unsafe');
    expect(fs.statSync(socketPath).isDirectory()).toBe(true);
  });

  it.runIf(process.getuid?.() === 0)("S24: leaves another user's socket", async () => {
    await leaveDeadSocket();
    fs.chownSync(socketPath, 12_345, 12_345);
    expect((await refusal()).message).toContain('another user');
    expect(fs.lstatSync(socketPath).uid).toBe(12_345);
  });

  it('S24: leaves a listener that lives, and it goes on', async () => {
    const squatter = net.createServer((socket) => {
      // The probe leaves without reading, which resets the connection.
      socket.on('error', () => undefined).end('still here');
    });
    cleanups.push(() => squatter.close());
    squatter.listen(socketPath);
    await once(squatter, 'listening');
    expect((await refusal()).kind).toBe('address_in_use');
    const socket = await connect();
    const [data] = (await once(socket, 'data')) as [Buffer];
    expect(data.toString()).toBe('still here');
  });

  it('S24: leaves a listener that is too busy to accept', async () => {
    // It listens, fills its own backlog, and never gets to accept: a stopped process.
    const script = `
      const server = require('net').createServer().listen({ path: ${JSON.stringify(socketPath)}, backlog: 1 }, () => {
        console.log(1);
        process.kill(process.pid, 'SIGSTOP');
      });`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    cleanups.push(async () => {
      const exit = once(child, 'exit');
      child.kill('SIGKILL');
      await exit;
    });
    await once(child.stdout, 'data');
    const fillers = Array.from({ length: 8 }, () =>
      net.connect({ path: socketPath }).on('error', () => undefined),
    );
    cleanups.push(() => fillers.forEach((filler) => filler.destroy()));
    await Promise.any(fillers.map((filler) => once(filler, 'connect')));
    expect((await refusal()).kind).toBe('address_in_use');
    expect(fs.lstatSync(socketPath).isSocket()).toBe(true);
  });

  it('is gone as soon as closing begins; the promise waits for the connections', async () => {
    const accepted: net.Socket[] = [];
    const bound = await bind({ onConnection: (socket) => accepted.push(socket) });
    const client = await connect();
    if (accepted.length === 0) await once(bound.server, 'connection');
    const closing = bound.close();
    expect(bound.close()).toBe(closing);
    expect(fs.existsSync(socketPath)).toBe(false);
    client.resume().end();
    accepted[0]?.resume().end();
    await closing;
  });
});

describe('what a bind needs', () => {
  it('a lock that is held', async () => {
    lock.release();
    await expect(bind()).rejects.toThrow('held');
    expect(fs.existsSync(socketPath)).toBe(false);
  });

  it('the lock of its own directory', async () => {
    const elsewhere = path.join(root, 'other');
    fs.mkdirSync(elsewhere);
    await expect(bind({ path: path.join(elsewhere, 'hearth.sock') })).rejects.toThrow('directory');
  });

  it('a directory that is there', async () => {
    fs.rmSync(root, { recursive: true });
    const error = await refusal();
    expect(error.kind).toBe('bind_failed');
  });
});

it('passes on allowHalfOpen: a client may end its side and still be answered', async () => {
  await bind({
    allowHalfOpen: true,
    onConnection: (socket) => socket.resume().on('end', () => socket.end('answer')),
  });
  const client = net.connect({ path: socketPath, allowHalfOpen: true });
  client.end('question');
  const [data] = (await once(client, 'data')) as [Buffer];
  expect(data.toString()).toBe('answer');
});
