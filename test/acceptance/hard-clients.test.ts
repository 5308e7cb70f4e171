import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { type ProcessIdentity, commandLine, descendants } from '../support/processes.js';
import { RawClient, say } from '../support/raw-client.js';
import { until } from '../support/wait.js';

/** Clients and circumstances that are hard on a daemon: each was once too much for it. */

const never = 600_000;
/** As frames more than a socket and its buffers hold; as a flag no more than the kernel takes. */
const flood = Array.from({ length: 25_000 }, () => 'x');

describe('a reader that stalls', () => {
  const hearth = hearthScope('test');

  test('rows 144, 146: does not hold up the end: the drain timeout is a bound', async () => {
    const daemon = await hearth.serve({ mock: { tokens: flood }, args: ['--drain-timeout-secs', '0.5'] });
    const client = await stalled(daemon, 'stalls');
    // Below the write timeout of 60 s by far, which is what it took once.
    expect(await daemon.stop()).toEqual({ code: 0, signal: null });
    client.destroy();
  });

  test('row 66: keeps no slot once its request is cancelled', async () => {
    const daemon = await hearth.serve({ mock: { tokens: flood }, args: ['--queue-depth', '1'] });
    const client = await stalled(daemon, 'stalls');
    const other = await daemon.connect();
    await other.sendJson(say('waits'));
    await client.sendJson({ type: 'cancel', id: 'c', target: 'stalls' });
    expect((await other.reply()).at(-1)).toMatchObject({ id: 'waits', type: 'done' });
    client.destroy();
    other.destroy();
  });

  test('row 4: after a half-close still gets all that it asked for, when it reads on late', async () => {
    const daemon = await hearth.serve({ mock: { tokens: flood } });
    const client = await daemon.connect();
    client.socket.pause();
    await client.sendJson(say('late', { max_tokens: flood.length }));
    client.halfClose();
    // Longer than a peer that has its answer may linger.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    client.socket.resume();
    const frames = await client.rest();
    expect(frames).toHaveLength(flood.length + 1);
    expect(frames.at(-1)).toMatchObject({ type: 'done' });
  });
});

describe('many requests on one connection', () => {
  const hearth = hearthScope('test');

  test('a cancel is read, however many are in flight, and one too many is refused', async () => {
    const args = ['--queue-depth', '100'];
    const daemon = await hearth.serve({ mock: { token_delay_ms: never }, args });
    const client = await daemon.connect();
    await client.sendJson(...Array.from({ length: 65 }, (_, index) => say(`r${index}`)));
    expect(await client.frame()).toMatchObject({ id: 'r64', type: 'error', code: 'queue_full' });
    await client.sendJson({ type: 'cancel', id: 'c', target: 'r0' });
    const frames = await client.frames(2);
    expect(frames).toContainEqual({ id: 'c', type: 'cancelled', target: 'r0', found: true });
    expect(frames).toContainEqual(expect.objectContaining({ id: 'r0', stop_reason: 'cancelled' }));
    client.destroy();
  });
});

describe('a stranger on TCP', () => {
  const hearth = hearthScope('test');

  test('row 40: may not make the daemon keep more than a short line before it has shown the key', async () => {
    const daemon = await hearth.serve({
      args: ['--tcp', '127.0.0.1:0', '--tcp-key-env', 'KEY'],
      env: { KEY: 'right' },
    });
    const port = await tcpPort(daemon);
    const stranger = await RawClient.connect({ port });
    await stranger.send('x'.repeat(9000)).catch(() => undefined);
    await stranger.closed();
    expect(stranger.remainder).toHaveLength(0);
    stranger.destroy();

    const friend = await RawClient.connect({ port });
    await friend.send(`${JSON.stringify({ type: 'auth', key: 'right' })}\n${JSON.stringify(say('hello'))}\n`);
    expect((await friend.reply()).at(-1)).toMatchObject({ type: 'done' });
    friend.destroy();
  });
});

describe('a directory that is made anew under a daemon', () => {
  const hearth = hearthScope('test');

  test('the end of the old daemon leaves the sockets of the new one', async () => {
    const home = hearth.makeHome();
    const old = await hearth.serve({ home });
    fs.rmSync(home.runtimeDir, { recursive: true });
    fs.mkdirSync(home.runtimeDir, { mode: 0o700 });
    const heir = await hearth.serve({ home });
    await old.stop();
    const client = await heir.connect();
    expect((await client.ask(say('heir'))).at(-1)).toMatchObject({ type: 'done' });
    client.destroy();
  });
});

describe('an engine that stays away', () => {
  const hearth = hearthScope('test');

  test('rows 110, 117, 171: is told of: status exits with 4 and nothing says ready', async () => {
    const daemon = await hearth.serve({ plain: true });
    const killed = new Set<string>();
    // Three restarts are granted; the fourth death is the last.
    for (let death = 0; death < 4; death += 1) {
      const worker = await until(
        () => workerOf(daemon, killed),
        () => 'no new worker came',
        60_000,
      );
      killed.add(`${worker.pid} ${worker.startedAt}`);
      process.kill(worker.pid, 'SIGKILL');
    }
    await daemon.log.waitFor({ msg: 'backend_state', state: 'failed' });
    const status = hearth.run(['status', '--runtime-dir', daemon.home.runtimeDir], { home: daemon.home });
    expect((await status.end()).code).toBe(4);
    expect(status.stdout).toContain('failed');
    const doctor = hearth.run(['doctor', '--runtime-dir', daemon.home.runtimeDir], { home: daemon.home });
    expect((await doctor.end()).code).toBe(4);
    const client = await daemon.connect();
    expect(await client.ask(say('nobody'))).toMatchObject([{ code: 'backend_unavailable' }]);
    client.destroy();
  });
});

describe('the loss of the terminal', () => {
  const hearth = hearthScope('test');

  test('drains as a signal to end does', async () => {
    const daemon = await hearth.serve();
    daemon.signal('SIGHUP');
    expect(await daemon.end()).toEqual({ code: 0, signal: null });
    expect(fs.readdirSync(daemon.home.runtimeDir)).toEqual([path.basename(daemon.home.lockFile)]);
  });
});

/** A client whose answer has filled everything between the engine and it, and that reads no more. */
async function stalled(daemon: HearthProcess, id: string): Promise<RawClient> {
  const client = await daemon.connect();
  client.socket.pause();
  await client.sendJson(say(id, { max_tokens: flood.length }));
  // What the kernel holds for it stops growing.
  await until(
    async () => {
      const before = client.socket.bytesRead;
      await new Promise((resolve) => setTimeout(resolve, 200));
      return client.socket.bytesRead === before ? true : undefined;
    },
    () => 'the reader never stalled',
  );
  return client;
}

function workerOf(daemon: HearthProcess, killed: ReadonlySet<string>): ProcessIdentity | undefined {
  return descendants(daemon.pid).find(
    ({ pid, startedAt }) => commandLine(pid).includes('engine-worker') && !killed.has(`${pid} ${startedAt}`),
  );
}

async function tcpPort(daemon: HearthProcess): Promise<number> {
  const admin = await daemon.admin();
  const ready = await admin.until('ready');
  admin.destroy();
  return Number(/:(\d+)$/.exec(String(ready['tcp']))?.[1]);
}
