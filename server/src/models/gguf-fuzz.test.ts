import { promises as fs } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkGguf } from './gguf-check.js';
import { ModelFileError } from './model-file-error.js';
import { fieldsOf, mutate, mutation } from './testing/gguf-mutants.js';
import { makeTinyGguf, makeTinyParts } from './testing/tiny-gguf.js';

/** Whatever is done to a valid file, the check answers in bounded time and memory, and by a typed error or by facts. */

let folder: string;
beforeAll(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'hearth-fuzz-'));
});
afterAll(async () => {
  await fs.rm(folder, { recursive: true, force: true });
});

/** What the check says: a problem, or `fine`. Anything but a typed error is thrown on. */
async function verdict(bytes: Buffer): Promise<string> {
  const file = path.join(folder, 'mutant.gguf');
  await fs.writeFile(file, bytes);
  try {
    const { weightBytes, parameters, vocabularySize, sizeBytes } = await checkGguf(file);
    // What is accepted lies within the file.
    expect(weightBytes).toBeLessThanOrEqual(sizeBytes);
    expect(vocabularySize * 8).toBeLessThanOrEqual(sizeBytes);
    expect(parameters).toBeLessThanOrEqual(sizeBytes * 8);
    return 'fine';
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    expect(error.message).not.toContain(folder);
    return error.problem;
  }
}

/** Longest that one check may take on a loaded machine, in milliseconds. An endless loop takes longer. */
const longestMs = 10_000;
/** Most by which all of them together may grow the process. One length that was believed is far beyond. */
const mostGrowth = 256 * 1024 * 1024;

test.each([
  ['a whole model', makeTinyGguf()],
  ['a part of one in several files', makeTinyParts(3)[0] ?? Buffer.alloc(0)],
])('%s, with changes', { timeout: 120_000 }, async (_what, file) => {
  expect(fieldsOf(file).fields.length).toBeGreaterThan(100);
  expect(await verdict(file)).toBe('fine');
  const before = process.memoryUsage().rss;
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 4 }), async (mutations) => {
      const since = performance.now();
      seen.add(await verdict(mutate(file, mutations)));
      expect(performance.now() - since).toBeLessThan(longestMs);
    }),
    { numRuns: 600 },
  );
  expect(process.memoryUsage().rss - before).toBeLessThan(mostGrowth);
  // The changes reach what they are meant to reach.
  for (const one of ['fine', 'truncated', 'corrupt']) expect([...seen]).toContain(one);
});

test('each number of the header, at each edge', { timeout: 120_000 }, async () => {
  const file = makeTinyGguf();
  const edges = [0n, 1n, (1n << 31n) - 1n, (1n << 32n) - 1n, 1n << 63n, (1n << 64n) - 1n];
  const { fields } = fieldsOf(file);
  const outcomes = new Map<string, Set<string>>();
  for (const [index, { what }] of fields.entries()) {
    for (const value of edges) {
      const field = (index + 0.5) / fields.length;
      const said = await verdict(mutate(file, [{ kind: 'set', field, value }]));
      outcomes.set(what, (outcomes.get(what) ?? new Set()).add(said));
    }
  }
  expect([...outcomes.keys()].toSorted()).toEqual([
    'count',
    'dimension',
    'length',
    'offset',
    'type',
    'value',
  ]);
  for (const [what, said] of outcomes) {
    if (what !== 'value')
      expect(
        [...said].filter((one) => one !== 'fine'),
        what,
      ).not.toEqual([]);
  }
});
