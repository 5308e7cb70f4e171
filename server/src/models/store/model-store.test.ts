import { createHash } from 'node:crypto';
import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Manifest } from './manifest.js';
import { isModelName, toModelName } from './model-name.js';
import { ModelStore } from './model-store.js';
import { modelsHome } from './models-home.js';

let home: string;
let store: ModelStore;
beforeEach(async () => {
  home = path.join(await fs.mkdtemp(path.join(os.tmpdir(), 'hearth-store-')), 'models');
  store = new ModelStore(home);
});
afterEach(async () => {
  await fs.rm(path.dirname(home), { recursive: true, force: true });
});

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');

async function add(name: string, content = name): Promise<Manifest> {
  const file = path.join(await store.ensure('partial'), name);
  await fs.writeFile(file, content);
  await store.adopt(file, hash(content));
  const manifest: Manifest = {
    schema: 1,
    name,
    displayName: name,
    file: { kind: 'blob', sha256: hash(content) },
    sizeBytes: content.length,
    source: { kind: 'download', url: 'https://huggingface.co/a/b', checkedBy: 'user' },
    purpose: 'generate',
    chatTemplate: true,
    infill: false,
    addedAt: '2026-01-01T00:00:00.000Z',
  };
  await store.write(manifest);
  return manifest;
}

describe('names (CVE-2024-37032: a digest or name that is a path)', () => {
  test.each([
    ['../x', '..', '.', '', '/etc/passwd', 'a/b', 'a\\b', 'C:x', 'c:', '\\\\host\\share', 'x:stream'],
    ['con', 'nul', 'com1', 'lpt9.gguf', 'aux.x', 'A', 'Ünicode', '\u{ff0e}\u{ff0e}', '%2e%2e', 'a\0b', 'a b'],
    ['a..b', 'a.', '.a', '-a', '_a', 'a\n', 'x'.repeat(97), 'a\u{202e}b', '~', '$HOME', 'a*', 'sha256-/../x'],
  ])('%s … are none', async (...names) => {
    for (const name of names) {
      expect(isModelName(name), name).toBe(false);
      await expect(store.find(name)).rejects.toMatchObject({ code: 'invalid_request' });
      await expect(store.remove(name)).rejects.toMatchObject({ code: 'invalid_request' });
      await expect(store.lock(name)).rejects.toMatchObject({ code: 'invalid_request' });
      expect(() => store.blobPath(name)).toThrow(RangeError);
    }
  });

  test('a file of such a name lies in the store, whatever the name', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (text) => {
        const name = toModelName(text);
        expect(isModelName(name)).toBe(true);
        if (!isModelName(text)) return;
        expect(path.dirname(path.resolve(home, `${text}.json`))).toBe(home);
        expect(text).toBe(text.toLowerCase());
      }),
      { numRuns: 2000 },
    );
  });

  test('are made of what files are called', () => {
    expect(toModelName('Qwen2.5-Coder-1.5B-Q4_K_M.gguf')).toBe('qwen2.5-coder-1.5b-q4_k_m');
    expect(toModelName('../../etc/passwd')).toBe('etc-passwd');
    expect(toModelName('NUL.gguf')).toBe('model');
  });
});

test('what was put in is found, listed and loaded from its hash', async () => {
  const manifest = await add('one');
  expect(await store.find('one')).toEqual(manifest);
  expect(await store.list()).toEqual({ models: [manifest], broken: [], beyond: 0 });
  const source = store.toSource(manifest);
  expect(source).toMatchObject({ id: 'one', sha256: hash('one') });
  expect(await fs.readFile(source.path, 'utf8')).toBe('one');
  expect((await fs.stat(source.path)).mode & 0o777).toBe(0o400);
  expect((await fs.stat(home)).mode & 0o777).toBe(0o700);
  await expect(store.read('two')).rejects.toMatchObject({ code: 'model_not_found' });
});

test('equal bytes are kept once, and go with their last name', async () => {
  await add('one', 'same');
  await add('two', 'same');
  expect(await fs.readdir(path.join(home, 'blobs'))).toEqual([`sha256-${hash('same')}`]);
  expect(await store.remove('one')).toBe(0);
  expect(await fs.readdir(path.join(home, 'blobs'))).toHaveLength(1);
  expect(await store.remove('two')).toBe(4);
  expect(await fs.readdir(path.join(home, 'blobs'))).toEqual([]);
  await expect(store.remove('two')).rejects.toMatchObject({ code: 'model_not_found' });
});

test('a record that is damaged, of another name, a link or huge is said to be so, and hides no other', async () => {
  const manifest = await add('good');
  const place = (name: string): string => path.join(home, 'manifests', `${name}.json`);
  await fs.writeFile(place('cut'), JSON.stringify(manifest).slice(0, 40));
  await fs.writeFile(place('other'), JSON.stringify(manifest));
  await fs.writeFile(place('huge'), 'x'.repeat(100_000));
  await fs.symlink(place('good'), place('link'));
  const { models, broken } = await store.list();
  expect(models).toEqual([manifest]);
  expect(broken).toEqual(['cut', 'huge', 'link', 'other']);
  await expect(store.read('cut')).rejects.toThrow(/hearth rm cut/u);
  await store.remove('cut');
  expect((await store.list()).broken).not.toContain('cut');
});

test('a listing has a bound', async () => {
  const manifest = await add('m');
  const write = async (index: number): Promise<void> =>
    fs.writeFile(
      path.join(home, `manifests/m${String(index)}.json`),
      JSON.stringify({ ...manifest, name: `m${String(index)}` }),
    );
  for (let index = 0; index < 1010; index += 1) await write(index);
  const { models, beyond } = await store.list();
  expect(models).toHaveLength(1000);
  expect(beyond).toBe(11);
});

test('one process at a time changes a model', async () => {
  const held = await store.lock('one');
  await expect(store.lock('one')).rejects.toThrow(/another hearth/iu);
  held.release();
  (await store.lock('one')).release();
});

test('a model that processes use is not removed by any, and one that is being removed is not used', async () => {
  const users = [await store.use('one'), await store.use('one')];
  await expect(store.claim('one')).rejects.toMatchObject({ code: 'backend_unavailable' });
  users[0]?.release();
  await expect(store.claim('one')).rejects.toThrow(/has one loaded/u);
  users[1]?.release();
  const remover = await store.claim('one');
  await expect(store.use('one')).rejects.toThrow(/being removed/u);
  (await store.use('two')).release();
  remover.release();
  (await store.use('one')).release();
});

test('the store lies in the home directory, or where the environment says', () => {
  expect(modelsHome({}, '/home/a')).toBe(path.resolve('/home/a/.hearth/models'));
  expect(modelsHome({ HEARTH_MODELS_HOME: '' }, '/home/a')).toBe(path.resolve('/home/a/.hearth/models'));
  expect(modelsHome({ HEARTH_MODELS_HOME: '/disk/m' }, '/home/a')).toBe(path.resolve('/disk/m'));
  expect(modelsHome({ HEARTH_MODELS_HOME: 'm' }, '/home/a')).toBe(path.resolve('/home/a/m'));
});
