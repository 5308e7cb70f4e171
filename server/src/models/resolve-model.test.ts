import { cp, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { resolveModel } from './resolve-model.js';
import { verifyFile } from './trust/hash-file.js';

let folder: string;
const never = new AbortController().signal;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-models-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('no name, the id and the alias all mean the embedded model, and its checksum is right', async () => {
  const source = await resolveModel(undefined);
  expect(source).toMatchObject({ id: 'hearth-pilot-v1', threads: 1 });
  expect(source.sizeBytes).toBe((await stat(source.path)).size);
  expect(source.caution).toContain('demonstration');
  expect(await resolveModel('pilot')).toEqual(source);
  expect(await resolveModel('hearth-pilot-v1')).toEqual(source);
  await verifyFile(source.path, source.sha256 ?? '', never);
  await expect(verifyFile(source.path, 'f'.repeat(64), never)).rejects.toMatchObject({
    problem: 'checksum',
  });
});

test('the embedded model is found from a bundle in the repository and from an installed extension', async () => {
  const pilot = path.dirname((await resolveModel('pilot')).path);
  for (const place of ['server/models/pilot', 'models/pilot']) {
    const root = path.join(folder, place.replaceAll('/', '-'));
    await mkdir(path.join(root, 'dist'), { recursive: true });
    await cp(path.join(pilot, 'manifest.json'), path.join(root, place, 'manifest.json'));
    const from = pathToFileURL(path.join(root, 'dist/hearth.cjs')).href;
    expect((await resolveModel(undefined, { from })).path).toBe(
      path.join(root, place, 'hearth-pilot-v1-q8_0.gguf'),
    );
  }
});

test('a path means its file, relative ones from the working directory', async () => {
  await writeFile(path.join(folder, 'My model (2).gguf'), 'x');
  const source = await resolveModel('My model (2).gguf', { workingDirectory: folder });
  expect(source).toEqual({
    id: 'My-model-2-',
    displayName: 'My-model-2-',
    path: path.join(folder, 'My model (2).gguf'),
    sizeBytes: 1,
  });
});

test('what is not there is said without its name', async () => {
  await expect(resolveModel('secret/place.gguf')).rejects.toMatchObject({ code: 'model_not_found' });
  await expect(resolveModel('secret/place.gguf')).rejects.not.toThrow(/secret/u);
  await expect(resolveModel('pilto')).rejects.toThrow(/"pilot"/u);
  await expect(resolveModel(folder)).rejects.toMatchObject({ problem: 'not_a_file' });
});
