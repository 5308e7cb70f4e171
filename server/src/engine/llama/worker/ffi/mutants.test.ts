import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { checkGguf } from '../../../../models/gguf-check.js';
import { ModelFileError } from '../../../../models/model-file-error.js';
import { fieldsOf, mutate, mutation } from '../../../../models/testing/gguf-mutants.js';
import { makeTinyGguf } from '../../../../models/testing/tiny-gguf.js';
import { bundleScript, type TestWorker } from '../../testing.js';

/** Changed files that the check of models accepts are loaded or refused by llama.cpp, and never read beyond. */

vi.setConfig({ testTimeout: 180_000, hookTimeout: 60_000 });

let folder: string;
let script: TestWorker;

beforeAll(async () => {
  script = await bundleScript(new URL('./testing/load-all.ts', import.meta.url), 'load-all.mjs');
  folder = path.dirname(script.path);
});
afterAll(() => script.dispose());

/** Loads them all, beginning again behind each that was the end of a process. */
async function loadAll(files: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const outcomes = new Map<string, string>();
  for (let left = files; left.length > 0; left = files.filter((file) => !outcomes.has(file))) {
    const child = spawn(process.execPath, [script.path, ...left], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [said, complaint] = ['', ''];
    child.stdout.on('data', (chunk) => (said += String(chunk)));
    child.stderr.on('data', (chunk) => (complaint += String(chunk)));
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    let current: string | undefined;
    for (const line of said.split('\n').filter((one) => one !== '')) {
      if (line.startsWith('begin ')) current = line.slice('begin '.length);
      else if (current !== undefined) {
        outcomes.set(current, line);
        current = undefined;
      }
    }
    if (current !== undefined) outcomes.set(current, `${signal ?? String(code)}: ${complaint.slice(0, 300)}`);
    else if (code !== 0) throw new Error(`the script failed: ${complaint.slice(0, 1000)}`);
  }
  return outcomes;
}

/** Writes each, and gives the paths of those that the check accepts. */
async function accepted(mutants: readonly Buffer[], name: string): Promise<readonly string[]> {
  const places: string[] = [];
  for (const [index, bytes] of mutants.entries()) {
    const place = path.join(folder, `${name}-${String(index)}.gguf`);
    await writeFile(place, bytes);
    try {
      await checkGguf(place);
      places.push(place);
    } catch (error) {
      if (!(error instanceof ModelFileError)) throw error;
      await rm(place);
    }
  }
  return places;
}

/** What became of those that were neither loaded nor refused. */
async function ends(files: readonly string[]): Promise<readonly string[]> {
  const outcomes = [...(await loadAll(files))];
  return outcomes
    .filter(([, outcome]) => !['loaded', 'refused'].includes(outcome))
    .map(([file, outcome]) => `${path.basename(file)} ${outcome}`);
}

const file = makeTinyGguf();

test('whatever was changed', async () => {
  const samples = fc.sample(fc.array(mutation, { minLength: 1, maxLength: 2 }), { numRuns: 400, seed: 7 });
  const files = await accepted(
    samples.map((mutations) => mutate(file, mutations)),
    'changed',
  );
  expect(files.length).toBeGreaterThan(20);
  expect(await ends(files)).toEqual([]);
});

test('each figure that the header gives, at each edge', async () => {
  const { fields } = fieldsOf(file);
  const edges = [0n, 1n, 3n, 255n, 65_536n, (1n << 31n) - 1n, (1n << 32n) - 1n];
  const mutants = fields.flatMap(({ what }, index) => {
    const field = (index + 0.5) / fields.length;
    return what === 'value' ? edges.map((value) => mutate(file, [{ kind: 'set', field, value }])) : [];
  });
  const files = await accepted(mutants, 'figure');
  expect(files.length).toBeGreaterThan(50);
  expect(await ends(files)).toEqual([]);
});
