import { createHash } from 'node:crypto';
import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { importModel } from '../import/import-model.js';
import { pullModel, type PullOptions, type PullProgress } from '../pull/pull-model.js';
import { defaultPullPolicy } from '../pull/pull-policy.js';
import { parsePullSource } from '../pull/pull-source.js';
import { ModelStore } from '../store/model-store.js';
import { ModelServer } from '../testing/model-server.js';
import { makeTinyGguf, makeTinyParts } from '../testing/tiny-gguf.js';
import { openTrustedFile } from '../trust/trusted-file.js';
import { checkModel } from './check-split.js';
import { parseSplitName, partName } from './split-name.js';

/** Models in several files: pulled, checked, loaded and removed as one. */

const parts = makeTinyParts(3);
const { signal } = new AbortController();
const nameOf = (index: number): string => partName('m', index, 3);
let folder: string;
let store: ModelStore;

beforeEach(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'hearth-split-'));
  store = new ModelStore(path.join(folder, 'models'));
});
afterEach(async () => {
  await fs.rm(folder, { recursive: true, force: true });
});

/** Puts the parts beside each other and gives the path of the first. */
async function place(files: readonly (Buffer | undefined)[]): Promise<string> {
  for (const [index, bytes] of files.entries())
    if (bytes !== undefined) await fs.writeFile(path.join(folder, nameOf(index + 1)), bytes);
  return path.join(folder, nameOf(1));
}

test('names are read and written as llama.cpp does, and a whole model is none', () => {
  expect(parseSplitName('a-b-00002-of-00003.gguf')).toEqual({ stem: 'a-b', index: 2, count: 3 });
  for (const name of ['a.gguf', 'a-00001-of-00001.gguf', 'a-00004-of-00003.gguf', 'a-00000-of-00003.gguf'])
    expect(parseSplitName(name)).toBeUndefined();
  expect(parseSplitName('a-00001-of-99999.gguf')).toBeUndefined();
  expect(partName('a', 1, 12)).toBe('a-00001-of-00012.gguf');
});

describe('the check', () => {
  test('gives the figures of the whole', async () => {
    const file = await place(parts);
    const [whole, facts] = [makeTinyGguf(), await checkModel({ path: file })];
    expect(facts.sizeBytes).toBe(parts.reduce((sum, { length }) => sum + length, 0));
    await fs.writeFile(path.join(folder, 'whole.gguf'), whole);
    const { parameters, weightBytes, shape } = await checkModel({ path: path.join(folder, 'whole.gguf') });
    expect(facts).toMatchObject({ parameters, weightBytes, shape });
  });

  test.each([
    ['one missing', [parts[0], undefined, parts[2]]],
    ['two in the wrong order', [parts[0], parts[2], parts[1]]],
    ['one of another model', [parts[0], parts[1], makeTinyParts(2)[1]]],
    ['a whole model among them', [parts[0], parts[1], makeTinyGguf()]],
    ['a tensor too few', [parts[0], parts[1], parts[1]]],
  ])('refuses %s', async (_what, files) => {
    const path = await place(files);
    await expect(checkModel({ path })).rejects.toMatchObject({ problem: 'wrong_parts' });
    await expect(openTrustedFile(sourceOf(path), { signal })).rejects.toMatchObject({
      problem: 'wrong_parts',
    });
  });

  test('refuses one that is cut off, and a part under a name of its own', async () => {
    const path = await place([parts[0], parts[1], parts[2]?.subarray(0, -40)]);
    await expect(checkModel({ path })).rejects.toMatchObject({ problem: 'truncated' });
    const alone = path.replace(/m-00001.*/u, 'alone.gguf');
    await fs.writeFile(alone, parts[0] ?? '');
    await expect(openTrustedFile(sourceOf(alone), { signal })).rejects.toMatchObject({
      problem: 'wrong_parts',
    });
  });
});

function sourceOf(file: string) {
  return { id: 'm', displayName: 'm', path: file, sizeBytes: 1 };
}

test('a part that is written to during the load is noticed', async () => {
  const file = await place(parts);
  const trusted = await openTrustedFile(sourceOf(file), { signal });
  try {
    expect(trusted.path).toBe(file);
    await trusted.assertUnchanged();
    await fs.appendFile(path.join(folder, nameOf(2)), 'x');
    await expect(trusted.assertUnchanged()).rejects.toMatchObject({ problem: 'changed' });
  } finally {
    await trusted.close();
  }
});

describe('against a server', () => {
  let server: ModelServer;
  beforeEach(async () => {
    server = await ModelServer.start(Buffer.alloc(0));
    server.behaviour = ({ path: asked }) => {
      const index = Number(/-(\d{5})-of/u.exec(asked)?.[1]) - 1;
      server.bytes = parts[index] ?? Buffer.alloc(0);
      server.etag = `"${String(index)}"`;
      return false;
    };
  });
  afterEach(async () => {
    await server.close();
  });

  const pull = (more: Partial<PullOptions> = {}) =>
    pullModel({
      store,
      source: parsePullSource(server.url(nameOf(2))),
      policy: { ...defaultPullPolicy, allowLoopback: true },
      signal,
      tuning: { pauseMs: 1, stallMs: 5000 },
      ...more,
    });

  test('all parts are fetched whichever was named, loaded under their names from the store, and removed as one', async () => {
    const seen = new Set<string>();
    const told: PullProgress[] = [];
    const { manifest } = await pull({
      onProgress: (progress) => {
        seen.add(`${String(progress.part?.index)}/${String(progress.part?.count)}`);
        told.push(progress);
      },
    });
    expect([...seen]).toEqual(['1/3', '2/3', '3/3']);
    // One progress of all of them, from the first byte to the last.
    const downloads = told.flatMap((one) => (one.phase === 'download' ? [one] : []));
    const whole = parts.reduce((sum, { length }) => sum + length, 0);
    expect(new Set(downloads.map(({ totalBytes }) => totalBytes))).toEqual(new Set([whole]));
    const bytes = downloads.map(({ downloadedBytes }) => downloadedBytes);
    expect(bytes).toEqual(bytes.toSorted((one, next) => one - next));
    expect(bytes.at(-1)).toBe(whole);
    expect(manifest).toMatchObject({ name: 'm', architecture: 'llama', file: { kind: 'parts' } });
    const blobs = parts.map((bytes) => `sha256-${createHash('sha256').update(bytes).digest('hex')}`);
    expect((await fs.readdir(path.join(store.home, 'blobs'))).toSorted()).toEqual(blobs.toSorted());
    expect(await fs.readdir(store.partialDirectory)).toEqual([]);
    expect(await pull()).toMatchObject({ alreadyThere: true });

    const source = store.toSource(manifest);
    const trusted = await openTrustedFile(source, { signal, privateDirectory: store.privateDirectory });
    expect(path.basename(trusted.path)).toBe('model-00001-of-00003.gguf');
    const beside = await fs.readdir(path.dirname(trusted.path));
    expect(beside).toHaveLength(3);
    await trusted.assertUnchanged();
    await trusted.close();
    expect(await fs.readdir(store.privateDirectory)).toEqual([]);

    expect(await store.remove('m')).toBe(manifest.sizeBytes);
    expect(await fs.readdir(path.join(store.home, 'blobs'))).toEqual([]);
  });

  test('a pull that breaks off in the second goes on there, without fetching the first again', async () => {
    const usual = server.behaviour;
    server.behaviour = async (request, self) => {
      if (request.path.includes('00002-of') && request.range !== 'bytes=0-0') {
        request.response.destroy();
        return true;
      }
      return usual(request, self);
    };
    await expect(pull()).rejects.toMatchObject({ problem: 'unreachable' });
    expect((await store.list()).models).toEqual([]);
    server.behaviour = usual;
    server.requests.length = 0;
    const { resumedBytes } = await pull();
    expect(resumedBytes).toBe(parts[0]?.length);
    const firsts = server.requests.filter((one) => one.path.includes('00001-of')).map(({ range }) => range);
    expect(new Set(firsts)).toEqual(new Set(['bytes=0-0']));
  });

  test('a file of the model that is not at the source is known of before any of them is fetched', async () => {
    const usual = server.behaviour;
    server.behaviour = async (request, self) => {
      if (!request.path.includes('00003-of')) return usual(request, self);
      request.response.writeHead(404).end();
      return true;
    };
    await expect(pull()).rejects.toMatchObject({ problem: 'not_found' });
    expect(new Set(server.requests.map(({ range }) => range))).toEqual(new Set(['bytes=0-0']));
    server.behaviour = usual;
    const whole = parts.reduce((sum, { length }) => sum + length, 0);
    const tooLarge = { ...defaultPullPolicy, allowLoopback: true, mostBytes: whole - 1 };
    await expect(pull({ policy: tooLarge })).rejects.toMatchObject({ problem: 'too_large' });
    expect(await fs.readdir(store.partialDirectory)).toEqual([]);
  });

  test('parts of different models are set aside and get no name; one hash for all of them is refused', async () => {
    const usual = server.behaviour;
    const other = makeTinyParts(2)[1] ?? Buffer.alloc(0);
    server.behaviour = async (request, self) => {
      await usual(request, self);
      if (request.path.includes('00003-of')) server.bytes = other;
      return false;
    };
    await expect(pull()).rejects.toMatchObject({ problem: 'wrong_parts' });
    expect((await store.list()).models).toEqual([]);
    expect(await fs.readdir(path.join(store.home, 'quarantine'))).toHaveLength(3);
    const expected = { sha256: 'a'.repeat(64), by: 'user' } as const;
    await expect(pull({ expected })).rejects.toMatchObject({ code: 'invalid_request' });
  });
});

test('a part in the store that is not what its hash says is set aside', async () => {
  const server = await ModelServer.start(Buffer.alloc(0));
  server.behaviour = ({ path: asked }) => {
    server.bytes = parts[Number(/-(\d{5})-of/u.exec(asked)?.[1]) - 1] ?? Buffer.alloc(0);
    return false;
  };
  const policy = { ...defaultPullPolicy, allowLoopback: true };
  const source = parsePullSource(server.url(nameOf(1)));
  const { manifest } = await pullModel({ store, source, policy, signal });
  await server.close();
  const blob = store.toSource(manifest).parts?.[1]?.path ?? '';
  await fs.chmod(blob, 0o600);
  const bytes = await fs.readFile(blob);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await fs.writeFile(blob, bytes);
  const opened = openTrustedFile(store.toSource(manifest), {
    signal,
    privateDirectory: store.privateDirectory,
  });
  await expect(opened).rejects.toMatchObject({ problem: 'checksum' });
  expect((await fs.readdir(path.join(store.home, 'blobs'))).some((name) => name.includes('quarantine'))).toBe(
    true,
  );
});

test('a model in several files is imported by any of them', async () => {
  const file = await place(parts);
  const given = path.join(folder, nameOf(3));
  const { manifest } = await importModel(store, { from: 'file', title: nameOf(3), path: given });
  expect(manifest).toMatchObject({ name: 'm', file: { kind: 'external', path: file } });
  expect(manifest.sizeBytes).toBe(parts.reduce((sum, { length }) => sum + length, 0));
});
