import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KernelLock } from './kernel-lock.js';
import { StartupError } from './startup-error.js';

let root: string;
let lockPath: string;
const locks: KernelLock[] = [];
const children: ChildProcess[] = [];

beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-lock-'));
  lockPath = path.join(root, 'hearth.lock');
});
afterEach(async () => {
  for (const lock of locks.splice(0)) lock.release();
  await Promise.all(children.splice(0).map(kill));
  fs.rmSync(root, { recursive: true, force: true });
});

function acquire(): KernelLock {
  const lock = KernelLock.acquire(lockPath);
  locks.push(lock);
  return lock;
}

function refusal(): StartupError {
  try {
    acquire();
  } catch (error) {
    if (error instanceof StartupError) return error;
    throw error;
  }
  throw new Error('the lock was given');
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** Another process that runs this very module and takes the lock. Resolves with what it says. */
async function spawnTaker(): Promise<{ readonly child: ChildProcess; readonly says: string }> {
  const bundle = path.join(root, 'kernel-lock.mjs');
  if (!fs.existsSync(bundle)) {
    buildSync({
      entryPoints: [fileURLToPath(new URL('kernel-lock.ts', import.meta.url))],
      outfile: bundle,
      bundle: true,
      platform: 'node',
      format: 'esm',
    });
  }
  const script = `
    import { KernelLock } from ${JSON.stringify(bundle)};
    try {
      globalThis.lock = KernelLock.acquire(${JSON.stringify(lockPath)});
      console.log('held');
      setInterval(() => {}, 1000);
    } catch (error) {
      console.log(error.kind);
    }`;
  const modules = fileURLToPath(new URL('../../../node_modules', import.meta.url));
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_PATH: modules },
  });
  children.push(child);
  const [data] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, says: data.toString().trim() };
}

describe('row 43: single-instance lock', () => {
  it('refuses a second holder, naming the path and the process that holds it', () => {
    const lock = acquire();
    expect(lock.held).toBe(true);
    const error = refusal();
    expect(error.kind).toBe('lock_held');
    expect(error.message).toContain(lockPath);
    expect(error.message).toContain(`process ${process.pid}`);
    expect(lock.held).toBe(true);
  });

  it('names no process where the file does not hold one', () => {
    acquire();
    fs.writeFileSync(lockPath, 'not a number');
    expect(refusal().message).toMatch(/^Another Hearth already runs/);
  });

  it('can be taken again after release, and the file stays', () => {
    const first = acquire();
    first.release();
    first.release();
    expect(first.held).toBe(false);
    expect(fs.readFileSync(lockPath, 'utf8')).toBe(`${process.pid}\n`);
    expect(acquire().held).toBe(true);
  });

  it('takes over the file of a holder that is long gone, longer content and all', () => {
    fs.writeFileSync(lockPath, '1234567890 and more\n');
    acquire();
    expect(fs.readFileSync(lockPath, 'utf8')).toBe(`${process.pid}\n`);
  });

  it('makes the file with mode 0600', () => {
    acquire();
    expect(fs.statSync(lockPath).mode & 0o777).toBe(0o600);
  });

  it('kill -9 of the holder frees the lock, and the file stays', async () => {
    const { child, says } = await spawnTaker();
    expect(says).toBe('held');
    expect(refusal().message).toContain(`process ${child.pid}`);
    await kill(child);
    expect(fs.existsSync(lockPath)).toBe(true);
    expect(acquire().held).toBe(true);
  });

  it('another process is refused while this one holds, and a child of ours does not inherit the lock', async () => {
    const lock = acquire();
    expect((await spawnTaker()).says).toBe('lock_held');
    const bystander = spawn(process.execPath, ['-e', 'console.log(1); setInterval(() => {}, 1000)'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(bystander);
    await once(bystander.stdout, 'data');
    lock.release();
    expect(acquire().held).toBe(true);
  });

  it('of several that start at once exactly one gets it', async () => {
    await spawnTaker().then(({ child }) => kill(child));
    const takers = await Promise.all(Array.from({ length: 5 }, spawnTaker));
    expect(takers.map(({ says }) => says).toSorted()).toEqual([
      'held',
      ...Array<string>(4).fill('lock_held'),
    ]);
  });
});

describe('row 44: what lies at the lock path is looked at before it is touched', () => {
  it('refuses a symbolic link and leaves its target', () => {
    const target = path.join(root, 'target');
    fs.writeFileSync(target, 'precious');
    fs.symlinkSync(target, lockPath);
    const error = refusal();
    expect(error.kind).toBe('lock_unsafe');
    expect(error.message).toContain(lockPath);
    expect(fs.readFileSync(target, 'utf8')).toBe('precious');
    expect(fs.lstatSync(lockPath).isSymbolicLink()).toBe(true);
  });

  it('refuses a dangling link and makes nothing behind it', () => {
    fs.symlinkSync(path.join(root, 'nowhere'), lockPath);
    expect(refusal().kind).toBe('lock_unsafe');
    expect(fs.readdirSync(root)).toEqual(['hearth.lock']);
  });

  it('refuses a directory', () => {
    fs.mkdirSync(lockPath);
    expect(refusal().kind).toBe('lock_unsafe');
    expect(fs.statSync(lockPath).isDirectory()).toBe(true);
  });

  it('says so where the directory is missing', () => {
    fs.rmSync(root, { recursive: true });
    const error = refusal();
    expect(error.kind).toBe('lock_unavailable');
    expect(error.message).toContain('ENOENT');
  });
});

it('a file that replaces a locked one is locked anew: the lock is always that of the file at the path', () => {
  const first = acquire();
  const inode = fs.statSync(lockPath).ino;
  fs.renameSync(lockPath, `${lockPath}.old`);
  const second = acquire();
  expect(second.held && first.held).toBe(true);
  expect(fs.statSync(lockPath).ino).not.toBe(inode);
  expect(refusal().kind).toBe('lock_held');
});
