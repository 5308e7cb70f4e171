import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { hearthScope, type Home } from '../support/daemon.js';
import { askOnce, RawClient, say } from '../support/raw-client.js';

const mock = ['serve', '--engine', 'mock'];

describe('the runtime directory', () => {
  const hearth = hearthScope('test');

  test('row 37: the inference socket has mode 0660 in a directory of mode 0700', async () => {
    const daemon = await hearth.serve();
    expect(modeOf(daemon.home.inferenceSocket)).toBe(0o660);
    expect(modeOf(daemon.home.runtimeDir)).toBe(0o700);
  });

  test.each(['hearth.sock', 'admin.sock', 'rpc.sock'])('row 37: a stale %s is replaced', async (name) => {
    const home = hearth.makeHome();
    await leaveStaleSocket(path.join(home.runtimeDir, name));
    const daemon = await hearth.serve({ home });
    expect((await askOnce(home.inferenceSocket, say('fresh'))).at(-1)).toMatchObject({ type: 'done' });
    expect((await daemon.stop()).code).toBe(0);
    expect(fs.existsSync(path.join(home.runtimeDir, name))).toBe(false);
  });

  test.each(['hearth.sock', 'admin.sock', 'rpc.sock'])(
    'row 37: a symbolic link at %s is refused and left as it is',
    async (name) => {
      const home = hearth.makeHome();
      const target = path.join(home.root, 'precious');
      fs.writeFileSync(target, 'precious');
      fs.symlinkSync(target, path.join(home.runtimeDir, name));
      const daemon = hearth.spawnServe({ home });

      expect((await daemon.end()).code).not.toBe(0);
      expect(daemon.stderr).toContain(name);
      expect(daemon.stderr).toContain('symbolic link');
      expect(fs.readFileSync(target, 'utf8')).toBe('precious');
      expect(fs.readlinkSync(path.join(home.runtimeDir, name))).toBe(target);
    },
  );

  test('row 37: a plain file at the path of the socket is refused and left as it is', async () => {
    const home = hearth.makeHome();
    fs.writeFileSync(home.inferenceSocket, 'precious');
    const daemon = hearth.spawnServe({ home });
    expect((await daemon.end()).code).not.toBe(0);
    expect(daemon.stderr).toContain('hearth.sock');
    expect(fs.readFileSync(home.inferenceSocket, 'utf8')).toBe('precious');
  });

  test('row 41: --runtime-dir before HEARTH_RUNTIME_DIR before XDG_RUNTIME_DIR before HOME', async () => {
    const where = async (
      home: Home,
      args: readonly string[],
      env: Record<string, string>,
    ): Promise<string> => {
      const daemon = hearth.run([...mock, '--log-dir', home.logDir, ...args], { home, env });
      const ready = home.log.waitFor({ msg: 'daemon_ready' });
      await Promise.race([ready, daemon.exited.then(() => Promise.reject(new Error(daemon.describe())))]);
      const sockets = fs
        .readdirSync(home.root, { recursive: true, encoding: 'utf8' })
        .filter((file) => path.basename(file) === 'hearth.sock');
      await daemon.stop();
      fs.rmSync(home.log.file);
      return sockets.join();
    };
    const home = hearth.makeHome();
    const at = (name: string): string => path.join(home.root, name);
    const all = { HEARTH_RUNTIME_DIR: at('e'), XDG_RUNTIME_DIR: at('x') };
    const variables = { HEARTH_RUNTIME_DIR: '', XDG_RUNTIME_DIR: at('x') };

    expect(await where(home, ['--runtime-dir', at('f')], all)).toBe('f/hearth.sock');
    expect(await where(home, [], all)).toBe('e/hearth.sock');
    // An empty variable is as none.
    expect(await where(home, [], variables)).toBe('x/hearth/hearth.sock');
    expect(await where(home, [], { XDG_RUNTIME_DIR: '' })).toBe('home/.hearth/run/hearth.sock');
    expect(modeOf(at('home/.hearth/run'))).toBe(0o700);
  });

  test('row 41: without any of them it is /tmp/hearth-<uid>', async () => {
    const uid = process.getuid?.();
    const status = hearth.run(['status'], { env: { XDG_RUNTIME_DIR: '', HOME: '' } });
    await status.end();
    expect(`${status.stdout}${status.stderr}`).toContain(`/tmp/hearth-${uid}`);
  });

  test.each([0o777, 0o770, 0o703])(
    'row 41: a directory that others can write to (%o) is refused',
    async (mode) => {
      const home = hearth.makeHome();
      fs.chmodSync(home.runtimeDir, mode);
      const daemon = hearth.spawnServe({ home });
      expect((await daemon.end()).code).toBe(2);
      expect(daemon.stderr).toContain(home.runtimeDir);
      expect(fs.readdirSync(home.runtimeDir)).toEqual([]);
      expect(modeOf(home.runtimeDir)).toBe(mode);
    },
  );

  test('row 41: a directory that others can only read is closed to them', async () => {
    const home = hearth.makeHome();
    fs.chmodSync(home.runtimeDir, 0o755);
    await hearth.serve({ home });
    expect(modeOf(home.runtimeDir)).toBe(0o700);
  });
});

describe('the single-instance lock', () => {
  const hearth = hearthScope('test');

  test('row 43: a second daemon ends with 3 and names the lock; the first serves on', async () => {
    const first = await hearth.serve();
    const second = hearth.spawnServe({ home: first.home });

    expect(await second.end()).toEqual({ code: 3, signal: null });
    expect(second.stderr).toContain(first.home.lockFile);
    expect((await askOnce(first.home.inferenceSocket, say('still'))).at(-1)).toMatchObject({ type: 'done' });
  });

  test('row 43: when the holder has ended the next one starts; the file is not deleted', async () => {
    const first = await hearth.serve();
    expect((await first.stop()).code).toBe(0);
    expect(fs.statSync(first.home.lockFile).isFile()).toBe(true);
    const inode = fs.statSync(first.home.lockFile).ino;

    const second = await hearth.serve({ home: first.home });
    expect(fs.statSync(second.home.lockFile).ino).toBe(inode);
  });

  test('row 43: of eight that start at once, exactly one serves', async () => {
    const home = hearth.makeHome();
    const all = Array.from({ length: 8 }, () => hearth.spawnServe({ home }));
    await home.log.waitFor({ msg: 'daemon_ready' });
    const winner = Number((await home.log.waitFor({ msg: 'daemon_started' }))['pid']);
    const losers = all.filter((one) => one.pid !== winner);
    const exits = await Promise.all(losers.map((one) => one.end()));

    expect(exits.map(({ code }) => code)).toEqual(Array.from({ length: 7 }, () => 3));
    expect(home.log.matching({ msg: 'daemon_started' })).toHaveLength(1);
    expect((await askOnce(home.inferenceSocket, say('one'))).at(-1)).toMatchObject({ type: 'done' });
  });

  test('row 44: a symbolic link at the lock is refused, its target untouched', async () => {
    const home = hearth.makeHome();
    const target = path.join(home.root, 'precious');
    fs.writeFileSync(target, 'precious');
    fs.symlinkSync(target, home.lockFile);
    const daemon = hearth.spawnServe({ home });

    expect((await daemon.end()).code).not.toBe(0);
    expect(daemon.stderr).toContain(home.lockFile);
    expect(fs.readFileSync(target, 'utf8')).toBe('precious');
    expect(fs.readdirSync(home.runtimeDir)).toEqual(['hearth.lock']);
  });

  test('row 44: a symbolic link to nothing is refused and nothing is made', async () => {
    const home = hearth.makeHome();
    const target = path.join(home.root, 'absent');
    fs.symlinkSync(target, home.lockFile);
    const daemon = hearth.spawnServe({ home });
    expect((await daemon.end()).code).not.toBe(0);
    expect(fs.existsSync(target)).toBe(false);
  });

  test('row 44: a directory at the lock is refused', async () => {
    const home = hearth.makeHome();
    fs.mkdirSync(home.lockFile);
    const daemon = hearth.spawnServe({ home });
    expect((await daemon.end()).code).not.toBe(0);
    expect(daemon.stderr).toContain(home.lockFile);
    expect(fs.statSync(home.lockFile).isDirectory()).toBe(true);
  });

  test('row 43: a sidecar on a held lock becomes a relay and ends with its client', async () => {
    const first = await hearth.serve();
    const relay = hearth.run(['sidecar', '--runtime-dir', first.home.runtimeDir, '--engine', 'mock'], {
      home: first.home,
    });
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'hearth/health' });
    relay.child.stdin?.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    await relay.printed(`"pid":${first.pid}`);
    relay.child.stdin?.end();
    expect((await relay.end()).code).toBe(0);
    expect((await askOnce(first.home.inferenceSocket, say('on'))).at(-1)).toMatchObject({ type: 'done' });
  });
});

function modeOf(file: string): number {
  return fs.lstatSync(file).mode & 0o777;
}

/** A socket file at which nobody listens any more: its server was told not to unlink it by losing the name first. */
async function leaveStaleSocket(file: string): Promise<void> {
  const server = net.createServer();
  const bound = `${file}.bound`;
  await new Promise<void>((resolve) => server.listen(bound, resolve));
  fs.linkSync(bound, file);
  await new Promise((resolve) => server.close(resolve));
  await expect(RawClient.connect(file)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
}
