import { createHash } from 'node:crypto';
import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ModelSource } from '../model-source.js';
import { makeTinyGguf } from '../testing/tiny-gguf.js';
import { isDigest } from './hash-file.js';
import { ChecksumError } from './quarantine.js';
import { openTrustedFile, type TrustedFile } from './trusted-file.js';

const never = new AbortController().signal;
const tiny = makeTinyGguf();
const other = makeTinyGguf({ seed: 2 });
const sha256 = createHash('sha256').update(tiny).digest('hex');

let folder: string;
let source: ModelSource & { readonly sha256: string };
let opened: TrustedFile | undefined;

beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'hearth-trust-'));
  const file = path.join(folder, 'model.gguf');
  await fs.writeFile(file, tiny, { mode: 0o600 });
  source = { id: 'tiny', displayName: 'tiny', path: file, sizeBytes: tiny.length, sha256 };
});
afterEach(async () => {
  await opened?.close();
  opened = undefined;
  await fs.rm(folder, { recursive: true, force: true });
});

async function open(
  options: { platform?: NodeJS.Platform; privateDirectory?: string } = {},
  of: ModelSource = source,
): Promise<TrustedFile> {
  opened = await openTrustedFile(of, { signal: never, ...options });
  return opened;
}

/** Puts another file in the place of the model, as an attacker or a downloader would. */
async function swap(): Promise<void> {
  await fs.writeFile(path.join(folder, 'new'), other);
  await fs.rename(path.join(folder, 'new'), source.path);
}

describe.runIf(process.platform === 'linux')('on Linux', () => {
  test('row 87: another file in its place changes nothing: the worker gets the one that was hashed', async () => {
    const file = await open();
    await swap();
    expect(await fs.readFile(file.path)).toEqual(tiny);
    await expect(file.assertUnchanged()).rejects.toMatchObject({ problem: 'changed' });
  });
});

test('row 87: what is written in place after the hash is noticed before anybody is served', async () => {
  const file = await open();
  const { mtime } = await fs.stat(source.path);
  const handle = await fs.open(source.path, 'r+');
  await handle.write(Buffer.from('x'), 0, 1, tiny.length - 1);
  await handle.close();
  // Even where the writer sets the time of change back.
  await fs.utimes(source.path, mtime, mtime);
  await expect(file.assertUnchanged()).rejects.toMatchObject({
    problem: 'changed',
    code: 'model_load_failed',
  });
});

test('row 87: a file to which others may write is copied, and the copy is what is hashed and loaded', async () => {
  await fs.chmod(source.path, 0o666);
  const privateDirectory = path.join(folder, 'private');
  const file = await open({ privateDirectory });
  expect(path.dirname(file.path)).toBe(privateDirectory);
  expect((await fs.stat(privateDirectory)).mode & 0o777).toBe(0o700);
  await fs.writeFile(source.path, other);
  expect(await fs.readFile(file.path)).toEqual(tiny);
  await file.assertUnchanged();
  await file.close();
  expect(await fs.readdir(privateDirectory)).toEqual([]);
});

test('row 87: elsewhere the worker gets a private link to the file that was hashed', async () => {
  const privateDirectory = path.join(folder, 'private');
  const file = await open({ platform: 'darwin', privateDirectory });
  await swap();
  expect(await fs.readFile(file.path)).toEqual(tiny);
  await file.close();
  expect(await fs.readdir(privateDirectory)).toEqual([]);
});

test('where there can be no link, a path that was given to another file is noticed', async () => {
  const file = await open({ platform: 'win32' });
  expect(file.path).toBe(source.path);
  await swap();
  await expect(file.assertUnchanged()).rejects.toMatchObject({ problem: 'changed' });
});

test('row 86: a wrong checksum sets the file aside and says both hashes', async () => {
  const expected = 'f'.repeat(64);
  const error: unknown = await open({}, { ...source, sha256: expected }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ChecksumError);
  expect(error).toMatchObject({
    code: 'model_load_failed',
    problem: 'checksum',
    quarantined: { path: source.path, expectedSha256: expected, actualSha256: sha256 },
  });
  const [left, ...more] = await fs.readdir(folder);
  expect(left).toMatch(/^model\.gguf\.quarantine\.\d{8}T\d{9}Z$/u);
  expect(more).toEqual([]);
  expect((error as Error).message).not.toContain(folder);
});

test('the checksum is compared whatever its form, and a short one never matches', () => {
  const digest = createHash('sha256').update('x').digest();
  expect(isDigest(digest, digest.toString('hex'))).toBe(true);
  expect(isDigest(digest, digest.toString('hex').slice(0, 62))).toBe(false);
  expect(isDigest(digest, '')).toBe(false);
});

test('a file is read whole once, and again after it has changed', async () => {
  let reads = 0;
  const onVerify = (known: boolean): void => void (reads += known ? 0 : 1);
  const once = async (): Promise<void> =>
    (await openTrustedFile(source, { signal: never, onVerify })).close();
  await once();
  await once();
  expect(reads).toBe(1);
  await fs.utimes(source.path, 1, 1);
  await once();
  expect(reads).toBe(2);
});

test.runIf(process.platform === 'linux')('what is opened is given back, whatever comes of it', async () => {
  const open = async (): Promise<number> => (await fs.readdir('/proc/self/fd')).length;
  const bad = path.join(folder, 'bad.gguf');
  await fs.writeFile(bad, tiny.subarray(0, 100));
  const before = await open();
  for (let index = 0; index < 20; index += 1) {
    await (await openTrustedFile(source, { signal: never })).close();
    await expect(openTrustedFile({ ...source, path: bad }, { signal: never })).rejects.toThrow(
      /ends too early/u,
    );
  }
  expect(await open()).toBe(before);
});
