import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findLibraries, readFolder } from './find-libraries.js';
import { explainLog } from './load-failure.js';
import { checkDefaults, expectedDefaults, loadNative } from './native.js';
import { findRelease } from './releases.js';
import { FfiUnavailable } from './unavailable.js';

/** A binding fits exactly or is not made. */

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-binding-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function bins(release: string | undefined): Promise<string> {
  const place = path.join(folder, String(release));
  await mkdir(place);
  for (const name of ['libggml-base.so', 'libggml.v9.9.0.so', 'libllama.v9.9.0.so']) {
    await writeFile(path.join(place, name), '');
  }
  const metadata = { buildOptions: { llamaCpp: release === undefined ? {} : { release } } };
  await writeFile(path.join(place, '_nlcBuildMetadata.json'), JSON.stringify(metadata));
  return place;
}

test('the libraries of this platform are found, and their release is in the table', async () => {
  const libraries = await findLibraries(import.meta.url);
  expect(findRelease(libraries.release)).toBeDefined();
});

test('a release that is not in the table is refused before any library is loaded', async () => {
  const { default: koffi } = await import('koffi');
  const libraries = await readFolder(await bins('v9.9.0'));
  expect(libraries?.release).toBe('v9.9.0');
  // The files are empty: loading them would fail in another way.
  expect(() => loadNative(koffi, libraries!)).toThrow(FfiUnavailable);
  expect(() => loadNative(koffi, libraries!)).toThrow(/v9\.9\.0 are not known/u);
});

test('libraries that cannot be loaded, and such without a release, are refused without a path', async () => {
  const { default: koffi } = await import('koffi');
  const libraries = await readFolder(await bins('v0.4.0'));
  expect(() => loadNative(koffi, libraries!)).toThrow(FfiUnavailable);
  try {
    loadNative(koffi, libraries!);
  } catch (error) {
    expect(String(error)).not.toContain(folder);
  }
  expect(await readFolder(await bins(undefined))).toBeUndefined();
  expect(await readFolder(path.join(folder, 'absent'))).toBeUndefined();
});

describe('the check of the defaults', () => {
  const right = {
    modelDefaults: () => expectedDefaults.model,
    contextDefaults: () => expectedDefaults.context,
    threadpoolDefaults: () => expectedDefaults.threadpool,
  };

  test('passes what it should be', () => {
    expect(checkDefaults(right)).toEqual([]);
  });

  test('names each field that is not, as where a field more has moved those behind it', () => {
    expect(
      checkDefaults({ ...right, contextDefaults: () => ({ ...expectedDefaults.context, n_ubatch: 1 }) }),
    ).toEqual(['n_ubatch']);
    const fields = Object.entries(expectedDefaults.model);
    const moved = Object.fromEntries(fields.map(([name], index) => [name, fields.at(index - 1)?.[1]]));
    expect(checkDefaults({ ...right, modelDefaults: () => moved }).length).toBeGreaterThan(1);
  });
});

test('the reasons of a load that failed hold names and no paths', () => {
  const lines = [
    "llama_model_load: error loading model: /home/x/secret.gguf: missing tensor 'blk.1.attn_q.weight'",
    'llama_model_load_from_file_impl: failed to load model /home/x/secret.gguf',
  ];
  expect(explainLog(lines)).toMatch(/"blk\.1\.attn_q\.weight"/u);
  expect(explainLog(lines)).not.toContain('secret');
  expect(explainLog(['whatever /home/x/secret.gguf'])).toBeUndefined();
});
