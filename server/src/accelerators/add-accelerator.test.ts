import { createHash } from 'node:crypto';
import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ModelStore } from '../models/store/model-store.js';
import { ModelServer } from '../models/testing/model-server.js';
import { AcceleratorStore } from './accelerator-store.js';
import { addAccelerator, type Added, type AddOptions } from './add-accelerator.js';
import { folderOf } from './packages.js';
import { makeTar } from './testing/tar.js';

const place = `package/bins/${folderOf('vulkan')}`;
const libraries = [
  'libggml-base.so',
  'libggml.vulkan.v0.4.0.so',
  'libllama.vulkan.v0.4.0.so',
  'libggml-vulkan.so',
  'libggml-cpu-x64.so',
  'llama-addon.node',
  '_nlcBuildMetadata.json',
];
/** A small package of the right layout. It does not compress, so that it can be cut in the middle. */
const noise = Buffer.from(Array.from({ length: 400_000 }, (_, index) => (index * 7919 + (index >> 5)) % 256));
const whole = packageOf(libraries);

function packageOf(names: readonly string[]): Buffer {
  return gzipSync(makeTar(names.map((name) => ({ path: `${place}/${name}`, content: noise }))), { level: 0 });
}

let folder: string;
let store: ModelStore;
let server: ModelServer;

beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'hearth-accelerator-'));
  store = new ModelStore(path.join(folder, 'models'));
  server = await ModelServer.start(whole);
});
afterEach(async () => {
  await server.close();
  await fs.rm(folder, { recursive: true, force: true });
});

function add(promised: Buffer, more: Partial<AddOptions> = {}): Promise<Added> {
  const sha512 = createHash('sha512').update(promised).digest('base64');
  return addAccelerator({
    kind: 'vulkan',
    store,
    registry: new URL(server.origin),
    offline: false,
    signal: new AbortController().signal,
    build: {
      packages: [{ name: 'linux-x64-vulkan', sha512, bytes: promised.length }],
    },
    pauseMs: 1,
    ...more,
  });
}

async function expectNothing(): Promise<void> {
  expect(await new AcceleratorStore(store.home).list()).toEqual([]);
  const left = await fs.readdir(path.join(store.home, 'accelerators')).catch(() => []);
  expect(left.filter((name) => name.startsWith('.draft'))).toEqual([]);
}

test('given the package that was promised, then its libraries are in place, and a second time nothing is fetched', async () => {
  const progress: number[] = [];
  const added = await add(whole, { onProgress: ({ bytes }) => progress.push(bytes) });
  expect(added.alreadyThere).toBe(false);
  expect((await fs.readdir(added.folder)).toSorted()).toEqual([...libraries, 'hearth.json'].toSorted());
  expect(await fs.readFile(path.join(added.folder, 'libggml-vulkan.so'))).toEqual(noise);
  expect((await fs.stat(added.folder)).mode & 0o777).toBe(0o700);
  expect(progress.at(-1)).toBe(whole.length);
  expect(server.requests[0]?.path).toBe('/@node-llama-cpp/linux-x64-vulkan/-/linux-x64-vulkan-3.21.1.tgz');
  expect(await new AcceleratorStore(store.home).list()).toEqual([
    {
      kind: 'vulkan',
      folder: added.folder,
      bytes: added.bytes,
      addedAt: expect.any(String) as string,
    },
  ]);
  expect(await fs.readdir(store.partialDirectory)).toEqual([]);
  const asked = server.requests.length;
  expect((await add(whole)).alreadyThere).toBe(true);
  expect(server.requests).toHaveLength(asked);
});

test('given a package with other bytes than were promised, then nothing of it is unpacked, and the next try is whole', async () => {
  server.bytes = Buffer.from(whole);
  server.bytes[200_000] = (server.bytes[200_000] ?? 0) ^ 1;
  await expect(add(whole)).rejects.toMatchObject({ problem: 'wrong_content' });
  await expectNothing();
  server.bytes = whole;
  expect((await add(whole)).alreadyThere).toBe(false);
});

test('given a registry that breaks off, then what has come is kept, and the same call goes on with it', async () => {
  server.behaviour = ({ range, response }) => {
    if (range === 'bytes=0-0') return false;
    const from = Number(/^bytes=(\d+)-/u.exec(range ?? '')?.[1]);
    if (from > 0) return response.destroy() !== response;
    response.writeHead(206, {
      'content-range': `bytes 0-${String(whole.length - 1)}/${String(whole.length)}`,
      'content-length': whole.length,
    });
    response.write(whole.subarray(0, 1_000_000), () => response.destroy());
    return true;
  };
  await expect(add(whole)).rejects.toMatchObject({ problem: 'unreachable' });
  await expectNothing();
  server.behaviour = () => false;
  server.requests.length = 0;
  expect((await add(whole)).alreadyThere).toBe(false);
  const asked = server.requests.map(({ range }) => Number(/^bytes=(\d+)-/u.exec(range ?? '')?.[1]));
  // The first asks how large it is; the rest begin where the first attempt ended.
  expect(asked[0]).toBe(0);
  expect(asked[1]).toBeGreaterThan(0);
});

test('given a registry without names for its bytes, as npm has, then ranges are still used: the hash judges', async () => {
  server.behaviour = ({ range, response }) => {
    const [, from = '0', to = '0'] = /^bytes=(\d+)-(\d+)$/u.exec(range ?? '') ?? [];
    const body = whole.subarray(Number(from), Number(to) + 1);
    response.writeHead(206, {
      'content-range': `bytes ${from}-${to}/${String(whole.length)}`,
      'content-length': body.length,
    });
    response.end(body);
    return true;
  };
  expect((await add(whole)).alreadyThere).toBe(false);
});

test.each([
  ['a library missing', packageOf(libraries.filter((name) => name !== 'libggml-vulkan.so')), 'wrong_content'],
  ['another layout', gzipSync(makeTar([{ path: 'package/libllama.so', content: 'x' }])), 'wrong_content'],
  ['no archive inside', gzipSync('x'.repeat(2000)), 'wrong_content'],
  ['a web page', Buffer.from('<html>not found</html>'), 'wrong_content'],
])(
  'given a package with %s, though its hash is right, then it is refused by name and nothing stays',
  async (_what, bytes, problem) => {
    server.bytes = bytes;
    await expect(add(bytes)).rejects.toMatchObject({ problem });
    await expectNothing();
  },
);

test('given another host, plain http elsewhere, or the wish to stay offline, then nothing is asked', async () => {
  const elsewhere = { registry: new URL('http://registry.example') };
  await expect(add(whole, elsewhere)).rejects.toMatchObject({ problem: 'host_not_allowed' });
  await expect(add(whole, { offline: true })).rejects.toMatchObject({ problem: 'offline' });
  server.behaviour = ({ response }) => {
    response.writeHead(302, { location: 'https://elsewhere.example/x.tgz' }).end();
    return true;
  };
  await expect(add(whole)).rejects.toMatchObject({ problem: 'host_not_allowed' });
  await expectNothing();
});

test('given a directory that others may write to, then it is not used, and it can be removed', async () => {
  const { folder: place } = await add(whole);
  const accelerators = new AcceleratorStore(store.home);
  if (process.platform !== 'win32') {
    await fs.chmod(place, 0o777);
    await expect(accelerators.find('vulkan')).rejects.toMatchObject({ code: 'forbidden' });
  }
  expect(await accelerators.remove('vulkan')).toBeGreaterThan(0);
  expect(await accelerators.remove('vulkan')).toBeUndefined();
  await expectNothing();
});

test('given one attempt at work, then another one is told so', async () => {
  const lock = await store.lock('accelerators');
  await expect(add(whole)).rejects.toMatchObject({ code: 'backend_unavailable' });
  lock.release();
});
