import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, test } from 'node:test';
import { connect, dial } from '@hearth/protocol/node';
import { RpcPeer } from '../support/rpc-peer.js';

/**
 * What is different on Windows: pipes with names in the place of sockets, a proof at both ends of them, LockFileEx, and
 * processes that are ended without a signal. See `run.mjs` beside this.
 */

assert.equal(process.platform, 'win32', 'these tests are for Windows');

const hearth = path.resolve(process.env['HEARTH_ROOT'] ?? '.', 'dist/hearth.cjs');
const root = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-windows-'));
const started = new Set<ChildProcess>();

after(async () => {
  await Promise.all([...started].map((child) => end(child)));
  fs.rmSync(root, { recursive: true, force: true, maxRetries: 20 });
});

/** `hearth …` with a runtime directory of this name. */
function start(name: string, args: readonly string[]): ChildProcess {
  const places = ['--runtime-dir', path.join(root, name)];
  const child = spawn(process.execPath, [hearth, ...args, ...places], {
    env: { ...process.env, HEARTH_LOG_DIR: path.join(root, 'log') },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => undefined);
  child.stderr.resume();
  started.add(child);
  child.once('exit', () => started.delete(child));
  return child;
}

const mock = ['--engine', 'mock', '--mock', '{"tokens":["a","b"]}'];

/** As Windows ends a process: at once, and with no word to it. */
async function end(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  if (child.exitCode === null && child.kill()) await exit;
}

/** Runs `hearth serve` until it says where it serves; gives the name of its pipe. */
async function serve(name: string, flags: readonly string[]): Promise<{ child: ChildProcess; pipe: string }> {
  const child = start(name, ['serve', ...flags]);
  let said = '';
  for await (const text of child.stdout ?? []) {
    said += String(text);
    const pipe = /\\\\\.\\pipe\\hearth-[0-9a-f]{16}/.exec(said)?.[0];
    if (said.includes('ready') && pipe !== undefined) return { child, pipe };
  }
  throw new Error(`the daemon has ended: ${said}`);
}

async function say(pipe: string, maxTokens: number): Promise<string> {
  const client = await connect({ path: pipe }, { resendWithinMs: 0 });
  try {
    let answer = '';
    const request = { messages: [{ role: 'user' as const, content: 'Hello' }], max_tokens: maxTokens };
    for await (const text of client.generate(request)) answer += text;
    return answer;
  } finally {
    client.close();
  }
}

/** The process that answers a sidecar's editor. */
async function holderOf(sidecar: ChildProcess): Promise<number> {
  assert(sidecar.stdin && sidecar.stdout);
  const { result } = await new RpcPeer(sidecar.stdout, sidecar.stdin).request('hearth/health');
  return (result as { readonly pid: number }).pid;
}

void test('row 38: the named pipe is served, and a second client after the first', async () => {
  const { child, pipe } = await serve('pipe', mock);
  assert.equal(await say(pipe, 8), 'ab');
  assert.equal(await say(pipe, 8), 'ab');
  // Two at once, the first of which says nothing.
  const idle = await dial({ path: pipe });
  assert.equal(await say(pipe, 8), 'ab');
  idle.destroy();
  await end(child);
});

void test('who cannot prove itself at a pipe is let go without a word', async () => {
  const { child, pipe } = await serve('proof', mock);
  const stranger = net.connect(pipe);
  let heard = '';
  stranger.on('data', (bytes) => (heard += String(bytes))).on('error', () => undefined);
  stranger.write('{"type":"generate","id":"x","messages":[{"role":"user","content":"Hello"}]}\n');
  await once(stranger, 'close');
  assert.equal(heard, '');
  assert.equal(await say(pipe, 8), 'ab');
  await end(child);
});

void test('a second daemon is refused, and one that was ended without a word is followed by the next', async () => {
  const { child, pipe } = await serve('lock', mock);
  const [code] = (await once(start('lock', ['serve', ...mock]), 'exit')) as [number];
  assert.equal(code, 3);
  await end(child);
  const next = await serve('lock', mock);
  assert.equal(next.pipe, pipe);
  assert.equal(await say(pipe, 8), 'ab');
  await end(next.child);
});

void test('of four sidecars at once one holds, and when it is ended the next one that comes does', async () => {
  const sidecar = (): ChildProcess => start('race', ['sidecar', ...mock, '--linger-secs', '0']);
  const all = Array.from({ length: 4 }, sidecar);
  const holders = await Promise.all(all.map((one) => holderOf(one)));
  assert.equal(new Set(holders).size, 1);
  const holder = all.find(({ pid }) => pid === holders[0]);
  assert(holder);
  const relays = all.filter((one) => one !== holder);
  const gone = Promise.all(relays.map((one) => once(one, 'exit')));
  await end(holder);
  await gone;
  const next = sidecar();
  assert.equal(await holderOf(next), next.pid);
  await end(next);
});

void test('the embedded model answers', async () => {
  const { child, pipe } = await serve('model', []);
  assert.notEqual((await say(pipe, 8)).length, 0);
  await end(child);
});
