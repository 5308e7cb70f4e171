import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeTar, type TarEntry, writeChecksum } from './testing/tar.js';
import { ArchiveError, unpackLibraries } from './unpack.js';

let folder: string;

beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'hearth-unpack-'));
});
afterEach(async () => {
  await fs.rm(folder, { recursive: true, force: true });
});

const place = 'package/bins/linux-x64-vulkan';

async function unpack(archive: Buffer, mostBytes = 1024 * 1024): Promise<readonly string[]> {
  await fs.writeFile(path.join(folder, 'archive'), archive);
  const into = path.join(folder, 'into');
  await fs.rm(into, { recursive: true, force: true });
  await fs.mkdir(into);
  const { signal } = new AbortController();
  return unpackLibraries(path.join(folder, 'archive'), 'linux-x64-vulkan', into, { mostBytes }, signal);
}

async function unpackEntries(...entries: readonly TarEntry[]): Promise<readonly string[]> {
  return unpack(gzipSync(makeTar(entries)));
}

test('given a package, when it is unpacked, then its libraries are there byte for byte and nothing else is', async () => {
  const content = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251));
  const names = await unpackEntries(
    { path: 'package/package.json', content: '{}' },
    { path: `${place}/libllama.so`, content },
    { path: 'package/dist/index.js', content: 'throw 1' },
    { path: `${place}/fallback/libggml-cuda.so`, content: 'older' },
    { path: `${place}/empty.txt` },
    { path: 'package/bins/linux-x64-cuda/libllama.so', content: 'another' },
  );
  expect(names).toEqual(['libllama.so', path.join('fallback', 'libggml-cuda.so'), 'empty.txt']);
  expect(await fs.readFile(path.join(folder, 'into/libllama.so'))).toEqual(content);
  expect((await fs.readdir(path.join(folder, 'into'), { recursive: true })).toSorted()).toEqual(
    ['empty.txt', 'fallback', path.join('fallback', 'libggml-cuda.so'), 'libllama.so'].toSorted(),
  );
});

test.each([
  ['a way out', `${place}/../../../evil.so`, '0'],
  ['a way out in the name', `${place}/..`, '0'],
  ['an absolute path', '/tmp/evil.so', '0'],
  ['a symbolic link', `${place}/evil.so`, '2'],
  ['a hard link', `${place}/evil.so`, '1'],
  ['a device', `${place}/evil.so`, '3'],
  ['a directory', `${place}/evil.so`, '5'],
  ['a deeper place', `${place}/deep/evil.so`, '0'],
  ['a name with a backslash', `${place}/..\\evil.so`, '0'],
  ['a hidden name', `${place}/.evil.so`, '0'],
])('CVE-2024-45436: given %s in a package, then it is passed over', async (_what, entry, type) => {
  const names = await unpackEntries(
    { path: entry, type, linkTo: '/etc/passwd', content: type === '0' ? 'evil' : '' },
    { path: `${place}/good.so`, content: 'good' },
  );
  expect(names).toEqual(['good.so']);
  expect(await fs.readdir(path.join(folder, 'into'))).toEqual(['good.so']);
  expect((await fs.readdir(folder)).toSorted()).toEqual(['archive', 'into']);
});

test('CVE-2024-12886: given a package that unpacks to more than it may, then it is refused without being read to its end', async () => {
  const large = Buffer.alloc(3 * 1024 * 1024);
  await expect(unpack(gzipSync(makeTar([{ path: 'package/x', content: large }])))).rejects.toThrow(/larger/u);
  const claims = makeTar([{ path: 'package/x' }]);
  claims.write('77777777777\0', 124);
  writeChecksum(claims.subarray(0, 512));
  await expect(unpack(gzipSync(claims))).rejects.toThrow(/larger/u);
});

test('given the same library twice, or more entries than any package has, then it is refused', async () => {
  const twice = { path: `${place}/libllama.so`, content: 'x' };
  await expect(unpackEntries(twice, twice)).rejects.toThrow(/twice/u);
  const many = Array.from({ length: 600 }, (_, index) => ({ path: `package/${String(index)}` }));
  await expect(unpackEntries(...many)).rejects.toThrow(/too many/u);
});

test('given a package that breaks off anywhere, or has a byte of a header changed, then it is refused', async () => {
  const tar = makeTar([{ path: `${place}/libllama.so`, content: 'x'.repeat(700) }]);
  const whole = gzipSync(tar);
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: whole.length - 1 }), async (length) => {
      await expect(unpack(whole.subarray(0, length))).rejects.toThrow(ArchiveError);
    }),
    { numRuns: 40 },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 511 }),
      fc.integer({ min: 1, max: 255 }),
      async (at, change) => {
        const damaged = Buffer.from(tar);
        damaged[at] = (damaged[at] ?? 0) ^ change;
        const outcome = await unpack(gzipSync(damaged)).catch((error: unknown) => error);
        // Some changes of the checksum's own field write the same figure in another way.
        if (!Array.isArray(outcome)) expect(outcome).toBeInstanceOf(ArchiveError);
        else expect(at).toBeGreaterThanOrEqual(148);
      },
    ),
    { numRuns: 100 },
  );
  await expect(unpack(Buffer.from('no archive'))).rejects.toThrow(ArchiveError);
});
