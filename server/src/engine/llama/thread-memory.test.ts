import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ThreadMemory, machineKey } from './thread-memory.js';

let directory: string;
let file: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'hearth-threads-'));
  file = path.join(directory, 'home', 'threads.json');
});
afterEach(() => rm(directory, { recursive: true }));

const choice = { threads: 2, narrowMs: 7.5, wideMs: 6.5 };

test('what is kept is there for the next daemon, and nothing else', async () => {
  expect(await new ThreadMemory(file).recall('a')).toBeUndefined();
  await new ThreadMemory(file).keep('a', choice);
  expect(await new ThreadMemory(file).recall('a')).toEqual(choice);
  expect(await new ThreadMemory(file).recall('b')).toBeUndefined();
  expect(await readdir(path.dirname(file))).toEqual(['threads.json']);
});

test('it keeps 64 of them, the latest', async () => {
  const memory = new ThreadMemory(file);
  for (let index = 0; index < 70; index += 1) void memory.keep(`model ${String(index)}`, choice);
  expect(await memory.recall('model 5')).toBeUndefined();
  expect(await memory.recall('model 6')).toEqual(choice);
  expect(await memory.recall('model 69')).toEqual(choice);
});

test.each([
  '',
  '{',
  '[]',
  '{"version":2,"choices":[]}',
  JSON.stringify({ version: 1, choices: [{ key: 'a', threads: -1, narrow_ms: 1, wide_ms: 1 }] }),
  ' '.repeat(65_537),
])('a file that is not ours counts as empty, and is replaced (%#)', async (content) => {
  await new ThreadMemory(file).keep('a', choice);
  await writeFile(file, content);
  expect(await new ThreadMemory(file).recall('a')).toBeUndefined();
  await new ThreadMemory(file).keep('b', choice);
  expect(await new ThreadMemory(file).recall('b')).toEqual(choice);
});

test('where it cannot write, it says nothing', async () => {
  await writeFile(path.join(directory, 'home'), '');
  await new ThreadMemory(file).keep('a', choice);
  expect(await new ThreadMemory(file).recall('a')).toBeUndefined();
});

test('the file names no model', async () => {
  await new ThreadMemory(file).keep(machineKey('/home/someone/secret.gguf', 'ffi'), choice);
  expect(await readFile(file, 'utf8')).not.toContain('secret');
  expect(machineKey('a', 'ffi')).not.toBe(machineKey('a', 'addon'));
});

test('how many tokens a prompt step has is kept beside it, where it is known', async () => {
  const memory = new ThreadMemory(file);
  await memory.keep('a', { ...choice, batch: 128 });
  expect(await memory.recall('a')).toEqual({ ...choice, batch: 128 });
  // What an older version wrote has none.
  await memory.keep('a', choice);
  expect(await memory.recall('a')).toEqual(choice);
});
