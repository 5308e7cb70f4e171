import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkGguf } from './gguf-check.js';
import type { GgufFacts } from './gguf-check.js';
import { ModelFileError } from './model-file-error.js';
import { makeTinyGguf } from './testing/tiny-gguf.js';

let folder: string;
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-gguf-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function check(bytes: Uint8Array): Promise<GgufFacts | ModelFileError> {
  files += 1;
  const file = path.join(folder, `${files}.gguf`);
  await writeFile(file, bytes);
  return checkPath(file).finally(() => rm(file));
}

async function checkPath(file: string): Promise<GgufFacts | ModelFileError> {
  try {
    return await checkGguf(file);
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    expect(error.message).not.toContain(folder);
    return error;
  }
}

async function problem(bytes: Uint8Array): Promise<string | undefined> {
  const outcome = await check(bytes);
  return outcome instanceof ModelFileError ? outcome.problem : undefined;
}

/** A copy with a number of 8 bytes put in its place. */
function withUint64(bytes: Buffer, offset: number, value: bigint): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeBigUInt64LE(value, offset);
  return copy;
}

const tiny = makeTinyGguf();
const tensorCountAt = 8;
const keyCountAt = 16;
const firstKeyAt = 24;

test('a good file gives its facts', async () => {
  expect(await check(tiny)).toEqual({
    version: 3,
    sizeBytes: tiny.length,
    architecture: 'llama',
    name: 'tiny-random',
    contextLength: 256,
    chatTemplate: true,
    infillTokens: true,
    confidence: undefined,
    vocabularySize: 384,
    longestTokenBytes: 14,
    parameters: 110_912,
    weightBytes: 110_912 * 4,
    quantization: 'F32',
    purpose: 'generate',
    shape: {
      layers: 2,
      width: 64,
      heads: 4,
      keyValueHeads: [2, 2],
      keyLength: 16,
      valueLength: 16,
      feedForward: 96,
      slidingWindow: undefined,
      latentLength: undefined,
    },
  });
  const bare = await check(makeTinyGguf({ chat: false, infill: false, contextLength: 512 }));
  expect(bare).toMatchObject({ chatTemplate: false, infillTokens: false, contextLength: 512 });
});

test('thresholds of confidence are read, and what are none are not taken', async () => {
  const read = async (confidence: readonly number[]): Promise<unknown> => check(makeTinyGguf({ confidence }));
  expect(await read([-0.5, -0.25])).toMatchObject({ confidence: [-0.5, -0.25] });
  for (const wrong of [[], [0.5], [-Infinity], [Number.NaN], Array<number>(129).fill(-1)]) {
    expect(await read(wrong)).toMatchObject({ confidence: undefined });
  }
});

test('the embedded model passes', async () => {
  const pilot = new URL('../../models/pilot/hearth-pilot-v1-q8_0.gguf', import.meta.url);
  expect(await checkGguf(fileURLToPath(pilot))).toMatchObject({ architecture: 'llama', contextLength: 2048 });
});

test('what is no file, is absent, empty, or of another format is called so', async () => {
  expect(await checkPath(folder)).toMatchObject({ problem: 'not_a_file', code: 'model_load_failed' });
  expect(await checkPath(path.join(folder, 'absent'))).toMatchObject({
    problem: 'not_found',
    code: 'model_not_found',
  });
  expect(await problem(new Uint8Array())).toBe('not_gguf');
  expect(await problem(Buffer.from('{"json":true}'))).toBe('not_gguf');
  const future = Buffer.from(tiny);
  future.writeUInt32LE(4, 4);
  expect(await problem(future)).toBe('not_gguf');
});

test('a file that is cut off anywhere is refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 4, max: tiny.length - 4096 }), async (length) => {
      expect(await problem(tiny.subarray(0, length))).toBe('truncated');
    }),
    { numRuns: 60 },
  );
});

test('counts, lengths and sizes that lie are refused and cost nothing', async () => {
  const huge = [1n << 20n, 1n << 32n, 1n << 62n, (1n << 63n) - 1n, (1n << 64n) - 1n];
  for (const value of huge) {
    for (const offset of [tensorCountAt, keyCountAt, firstKeyAt]) {
      expect(await problem(withUint64(tiny, offset, value))).toMatch(/corrupt|truncated/u);
    }
  }
});

test('tensor dimensions whose product wraps around 64 bits are refused', async () => {
  // Dimensions of the first tensor stand behind its name and their count.
  const at = tiny.indexOf('token_embd.weight') + 'token_embd.weight'.length + 4;
  expect(tiny.readBigUInt64LE(at)).toBe(64n);
  expect(await problem(withUint64(withUint64(tiny, at, 1n << 33n), at + 8, 1n << 33n))).toBe('corrupt');
  expect(await problem(withUint64(tiny, at + 8, 1n << 40n))).toBe('truncated');
  expect(await problem(withUint64(tiny, at, 0n))).toBe('corrupt');
  const offsetAt = at + 16 + 4;
  expect(await problem(withUint64(tiny, offsetAt, (1n << 64n) - 32n))).toBe('truncated');
  expect(await problem(withUint64(tiny, offsetAt, 1n))).toBe('corrupt');
});

test('arrays within arrays end somewhere', async () => {
  const key = Buffer.from('\u0001\0\0\0\0\0\0\0k', 'latin1');
  const array = Buffer.from('\u0009\0\0\0\u0001\0\0\0\0\0\0\0', 'latin1');
  const header = Buffer.alloc(24);
  header.write('GGUF');
  header.writeUInt32LE(3, 4);
  header.writeBigUInt64LE(1n, keyCountAt);
  const bytes = Buffer.concat([
    header,
    key,
    Buffer.from('\u0009\0\0\0', 'latin1'),
    ...Array<Buffer>(50).fill(array),
  ]);
  expect(await problem(bytes)).toBe('corrupt');
});

test('no change of a few bytes crashes or holds up the check', async () => {
  const headerBytes = tiny.indexOf('output.weight') + 100;
  const change = fc.record({ offset: fc.nat(headerBytes), value: fc.integer({ min: 0, max: 255 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 12 }), async (changes) => {
      const copy = Buffer.from(tiny);
      for (const { offset, value } of changes) copy[offset] = value;
      await check(copy);
    }),
    { numRuns: 400 },
  );
});
