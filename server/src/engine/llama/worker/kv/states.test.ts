import { mkdtemp, readdir, readFile, rm, stat, writeFile, chmod } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DiskStates } from './disk-states.js';
import { MemoryStates } from './states.js';

const bytes = (length: number, fill = 1) => new Uint8Array(length).fill(fill);

describe('states in memory', () => {
  test('given several, then the one with the longest common begin is found, and only in its scope', async () => {
    const states = new MemoryStates(10_000);
    states.put([1, 2, 3], undefined, bytes(10, 1));
    states.put([1, 2, 9, 9], undefined, bytes(10, 2));
    states.put([1, 2, 3, 4, 5], 'client', bytes(10, 3));
    const found = states.find([1, 2, 3, 4, 5], undefined);
    expect(found).toMatchObject({ tokens: [1, 2, 3], shared: 3 });
    expect(await found?.load()).toEqual(bytes(10, 1));
    expect(states.find([1, 2, 3, 4, 5], 'client')).toMatchObject({ shared: 5 });
    expect(states.find([1, 2, 3], 'another')).toBeUndefined();
    expect(states.find([7], undefined)).toBeUndefined();
  });

  test('given no room, then what was used longest ago goes, and the bound holds', async () => {
    const states = new MemoryStates(350);
    states.put([1], undefined, bytes(96));
    states.put([2], undefined, bytes(96));
    states.put([3], undefined, bytes(96));
    await states.find([1], undefined)?.load();
    states.put([4], undefined, bytes(96));
    expect(states.find([2], undefined)).toBeUndefined();
    expect(states.find([1], undefined)).toBeDefined();
    expect(states.bytes).toBeLessThanOrEqual(350);
    states.put([5], undefined, bytes(1000));
    expect(states.find([5], undefined)).toBeUndefined();
  });

  test('given a longer form of one, then only the longer is kept', () => {
    const states = new MemoryStates(10_000);
    states.put([1, 2], undefined, bytes(100));
    states.put([1, 2, 3], undefined, bytes(100));
    states.put([1], undefined, bytes(100));
    expect(states.bytes).toBe(112);
  });
});

describe('states on disk', () => {
  let parent: string;
  let directory: string;
  beforeEach(async () => {
    parent = await mkdtemp(path.join(os.tmpdir(), 'hearth-kv-'));
    directory = path.join(parent, 'kv');
  });
  afterEach(() => rm(parent, { recursive: true, force: true }));

  async function open(key = 'model', mostBytes = 1_000_000): Promise<DiskStates> {
    const states = await DiskStates.open({ directory, mostBytes, key });
    if (states === undefined) throw new Error('it did not open');
    return states;
  }

  async function filled(): Promise<void> {
    const states = await open();
    states.put([1, 2, 3], undefined, bytes(100, 7));
    await states.flush();
  }

  test('they outlive who wrote them, for the same model only, and no other user can read them', async () => {
    await filled();
    const found = (await open()).find([1, 2, 3, 4], undefined);
    expect(found?.shared).toBe(3);
    expect(await found?.load()).toEqual(bytes(100, 7));
    expect((await open('another model')).find([1, 2, 3, 4], undefined)).toBeUndefined();
    if (process.platform === 'win32') return;
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    const [name = ''] = await readdir(directory);
    expect((await stat(path.join(directory, name))).mode & 0o777).toBe(0o600);
  });

  test('a damaged one is deleted and not used, wherever the damage is', async () => {
    for (const at of [0, 20, 45, 60, -1]) {
      await filled();
      const [name = ''] = await readdir(directory);
      const file = path.join(directory, name);
      const content = await readFile(file);
      const place = at < 0 ? content.length + at : at;
      content[place] = (content[place] ?? 0) ^ 0xff;
      await writeFile(file, content);
      const states = await open();
      const found = states.find([1, 2, 3], undefined);
      expect(await found?.load()).toBeUndefined();
      if (found !== undefined) expect(await readdir(directory)).toEqual([]);
      await rm(directory, { recursive: true });
    }
    await filled();
    const [name = ''] = await readdir(directory);
    const file = path.join(directory, name);
    await writeFile(file, (await readFile(file)).subarray(0, 100));
    const states = await open();
    expect(await states.find([1, 2, 3], undefined)?.load()).toBeUndefined();
    expect(await readdir(directory)).toEqual([]);
  });

  test('the bound of bytes holds over all models, the oldest go first, and one client alone leaves no file', async () => {
    const states = await open('model', 600);
    for (const token of [1, 2, 3, 4, 5, 6]) states.put([token], undefined, bytes(100));
    states.put([9], 'client', bytes(10));
    await states.flush();
    const sizes = await Promise.all(
      (await readdir(directory)).map((name) => stat(path.join(directory, name))),
    );
    expect(sizes.reduce((sum, { size }) => sum + size, 0)).toBeLessThanOrEqual(600);
    expect(states.find([6], undefined)).toBeDefined();
    expect(states.find([1], undefined)).toBeUndefined();
    expect(states.find([9], 'client')).toBeUndefined();
  });

  test.skipIf(process.platform === 'win32')('a directory that others can read is not used', async () => {
    await filled();
    await chmod(directory, 0o755);
    expect(await DiskStates.open({ directory, mostBytes: 1000, key: 'model' })).toBeUndefined();
  });
});
