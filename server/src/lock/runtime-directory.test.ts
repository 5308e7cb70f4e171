import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  maxSocketPathBytes,
  prepareRuntimeDirectory,
  resolveRuntimeDirectory,
  runtimePaths,
} from './runtime-directory.js';
import { StartupError } from './startup-error.js';

const linux = { platform: 'linux', uid: 1000 } as const;
const darwin = { platform: 'darwin', uid: 501 } as const;

describe('row 41: the runtime directory is the first that is set', () => {
  const all = { XDG_RUNTIME_DIR: '/run/user/1000', HOME: '/home/ann', TMPDIR: '/var/folders/x' };
  it.each([
    ['what was asked for', { ...linux, explicit: '/srv/hearth', env: all }, '/srv/hearth'],
    ['XDG_RUNTIME_DIR', { ...linux, env: all }, '/run/user/1000/hearth'],
    ['HOME', { ...linux, env: { HOME: '/home/ann' } }, '/home/ann/.hearth/run'],
    ['the user number', { ...linux, env: {} }, '/tmp/hearth-1000'],
    [
      'HOME where XDG_RUNTIME_DIR is empty',
      { ...linux, env: { ...all, XDG_RUNTIME_DIR: '' } },
      '/home/ann/.hearth/run',
    ],
    [
      'the user number where all are empty',
      { ...linux, env: { XDG_RUNTIME_DIR: '', HOME: '' } },
      '/tmp/hearth-1000',
    ],
    [
      'XDG_RUNTIME_DIR where what was asked for is empty',
      { ...linux, explicit: '', env: all },
      '/run/user/1000/hearth',
    ],
    ['TMPDIR on macOS', { ...darwin, env: all }, '/var/folders/x/hearth'],
    [
      'HOME on macOS without TMPDIR',
      { ...darwin, env: { HOME: '/Users/ann', TMPDIR: '' } },
      '/Users/ann/.hearth/run',
    ],
    [
      'LOCALAPPDATA on Windows',
      { platform: 'win32', uid: undefined, env: { LOCALAPPDATA: 'C:\\Users\\ann\\AppData\\Local' } } as const,
      'C:\\Users\\ann\\AppData\\Local\\hearth\\run',
    ],
  ])('%s', (_name, options, expected) => {
    expect(resolveRuntimeDirectory(options)).toBe(expected);
  });
});

describe('preparing the runtime directory', () => {
  const uid = process.getuid?.();
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), 'hearth-dir-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const prepare = (directory: string, asUid = uid): Promise<void> =>
    prepareRuntimeDirectory(runtimePaths(directory, process.platform), asUid);
  const refusal = async (directory: string, asUid = uid): Promise<StartupError> => {
    const error: unknown = await prepare(directory, asUid).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof StartupError)) throw new Error('expected a StartupError', { cause: error });
    return error;
  };

  it('S3: makes it and what lies above it with mode 0700, whatever the umask', async () => {
    const previous = process.umask(0);
    try {
      await prepare(path.join(root, 'a', 'run'));
    } finally {
      process.umask(previous);
    }
    expect((await lstat(path.join(root, 'a', 'run'))).mode & 0o777).toBe(0o700);
    expect((await lstat(path.join(root, 'a'))).mode & 0o777).toBe(0o700);
  });

  it('takes one that is there and closed to others', async () => {
    await prepare(root);
    await prepare(root);
  });

  it.each([0o755, 0o701, 0o750])('S3: closes mode %o, which others could only read', async (mode) => {
    await chmod(root, mode);
    await prepare(root);
    expect((await lstat(root)).mode & 0o777).toBe(0o700);
  });

  it.each([0o777, 0o770, 0o702])('S4: refuses mode %o, leaves it, and says chmod 700', async (mode) => {
    await chmod(root, mode);
    const error = await refusal(root);
    expect(error.kind).toBe('runtime_directory');
    expect(error.message).toContain(`chmod 700 '${root}'`);
    expect((await lstat(root)).mode & 0o777).toBe(mode);
  });

  it("S4: refuses another user's directory", async () => {
    expect((await refusal(root, (uid ?? 0) + 1)).message).toContain('another user');
  });

  it('S4: refuses a symbolic link, dangling ones too, and makes nothing behind it', async () => {
    await mkdir(path.join(root, 'real'), { mode: 0o700 });
    await symlink(path.join(root, 'real'), path.join(root, 'link'));
    await symlink(path.join(root, 'nowhere'), path.join(root, 'dangling'));
    expect((await refusal(path.join(root, 'link'))).message).toContain('symbolic link');
    expect((await refusal(path.join(root, 'dangling'))).message).toContain('symbolic link');
    expect((await readdir(root)).toSorted()).toEqual(['dangling', 'link', 'real']);
  });

  it('S4: refuses a file and leaves its content', async () => {
    const file = path.join(root, 'file');
    await writeFile(file, 'precious');
    expect((await refusal(file)).message).toContain('not a directory');
    expect((await refusal(path.join(file, 'below'))).kind).toBe('runtime_directory');
    expect(await readFile(file, 'utf8')).toBe('precious');
  });

  it('S4: refuses a path that a socket address cannot hold, and makes nothing', async () => {
    const socketName = '/hearth.sock';
    const fits = path.join(root, 'x'.repeat(maxSocketPathBytes - root.length - 1 - socketName.length));
    await prepare(fits);
    const error = await refusal(`${fits}x`);
    expect(error.kind).toBe('path_too_long');
    expect(error.message).toContain('--runtime-dir');
    expect(await readdir(root)).toEqual([path.basename(fits)]);
  });

  it('counts the bytes of the path and not its characters', async () => {
    expect((await refusal(path.join(root, 'ü'.repeat(40)))).kind).toBe('path_too_long');
  });
});

it('names the sockets in the directory', () => {
  expect(runtimePaths('/r', 'linux')).toEqual({
    directory: '/r',
    lock: '/r/hearth.lock',
    inference: '/r/hearth.sock',
    admin: '/r/admin.sock',
    rpc: '/r/rpc.sock',
  });
  expect(runtimePaths('C:\\r', 'win32').inference).toMatch(/^\\\\\.\\pipe\\hearth-[0-9a-f]{16}$/);
});
