import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkGguf, ggufBounds } from './gguf-check.js';
import { ModelFileError } from './model-file-error.js';
import { makeTinyGguf } from './testing/tiny-gguf.js';

/** One test for each class of fault that was published of programs that read GGUF files. */

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'hearth-cve-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** What the check says of these bytes: a problem and its detail, or `fine`. */
async function verdict(bytes: Uint8Array): Promise<string> {
  const file = path.join(folder, 'file.gguf');
  await writeFile(file, bytes);
  try {
    await checkGguf(file);
    return 'fine';
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    return `${error.problem}: ${/\(([^()]*)\)$/u.exec(error.message)?.[1] ?? ''}`;
  }
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: bigint | number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

interface FakeTensor {
  readonly dimensions: readonly (bigint | number)[];
  readonly type?: number;
  readonly offset?: bigint | number;
  readonly name?: string;
}

/** A file with these entries, each `[key, type, value]`, these tensors and so many bytes of weights. */
function gguf(
  entries: readonly (readonly [key: string, type: number, value: Buffer])[],
  tensors: readonly FakeTensor[] = [],
  dataBytes = 0,
): Buffer {
  const header = Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(entries.length),
    ...entries.map(([key, type, value]) => Buffer.concat([text(key), u32(type), value])),
    ...tensors.map(({ name, dimensions, type = 0, offset = 0 }, index) =>
      Buffer.concat([
        text(name ?? `t${String(index)}`),
        u32(dimensions.length),
        ...dimensions.map(u64),
        u32(type),
        u64(offset),
      ]),
    ),
  ]);
  return Buffer.concat([header, Buffer.alloc((32 - (header.length % 32)) % 32), Buffer.alloc(dataBytes)]);
}

const array = 9;
const string = 8;
const uint32 = 4;
const most64 = (1n << 64n) - 1n;

test('the builder of these tests makes files that pass', async () => {
  expect(await verdict(gguf([['general.architecture', string, text('llama')]]))).toBe('fine');
  expect(await verdict(gguf([], [{ dimensions: [8] }], 32))).toBe('fine');
});

describe('CVE-2024-23605, CVE-2024-21836: counts in the header that overflow what is allocated for them', () => {
  test.each([
    ['keys', 16],
    ['tensors', 8],
  ])('%s', async (_what, at) => {
    for (const count of [most64, 1n << 63n, (1n << 61n) + 1n, ggufBounds.tensors + 1n]) {
      const bytes = makeTinyGguf();
      bytes.writeBigUInt64LE(count, at);
      expect(await verdict(bytes)).toMatch(/^(corrupt|truncated)/u);
    }
  });
});

test('CVE-2024-23496: a length of a text that becomes zero when one is added to it', async () => {
  for (const length of [most64, most64 - 1n, 1n << 63n]) {
    expect(await verdict(gguf([['k', string, u64(length)]]))).toBe('corrupt: string length');
  }
});

test('CVE-2024-21825: an array whose length times the size of its elements overflows', async () => {
  for (const count of [most64, 1n << 61n, (1n << 62n) + 1n]) {
    for (const element of [0, 4, 10, string]) {
      const bytes = gguf([['k', array, Buffer.concat([u32(element), u64(count)])]]);
      expect(await verdict(bytes)).toBe('corrupt: array length');
    }
  }
});

test('CVE-2024-21802: a number of dimensions beyond what native code has room for', async () => {
  expect(await verdict(gguf([], [{ dimensions: [1, 1, 1, 1, 1] }], 32))).toBe('corrupt: tensor dimensions');
});

test('CVE-2025-53630: dimensions whose product, or tensors whose sum, wraps around', async () => {
  const wraps = [
    { dimensions: [1n << 32n, 1n << 32n] },
    { dimensions: [1n << 62n, 4] },
    { dimensions: [(1n << 63n) - 1n], type: 0 },
    { dimensions: [most64] },
  ];
  for (const tensor of wraps) expect(await verdict(gguf([], [tensor], 64))).toMatch(/^corrupt: tensor/u);
  const many = Array.from({ length: 8 }, () => ({ dimensions: [1n << 60n] }));
  expect(await verdict(gguf([], many, 64))).toMatch(/^(corrupt|truncated)/u);
});

test('CVE-2026-7482, CVE-2026-27940: a tensor that begins or ends beyond the file', async () => {
  const beyond = 'truncated: weights are missing';
  expect(await verdict(gguf([], [{ dimensions: [8], offset: 32 }], 32))).toBe(beyond);
  expect(await verdict(gguf([], [{ dimensions: [9] }], 32))).toBe(beyond);
  expect(await verdict(gguf([], [{ dimensions: [8], offset: most64 - 31n }], 32))).toBe(beyond);
});

test('tensors that lie over one another, or over no boundary', async () => {
  const twice = [{ dimensions: [16] }, { dimensions: [8], offset: 32 }];
  expect(await verdict(gguf([], twice, 64))).toBe('corrupt: tensors overlap');
  expect(await verdict(gguf([], [{ dimensions: [4], offset: 16 }], 64))).toBe('corrupt: tensor offset');
  const names = [
    { dimensions: [8], name: 'a' },
    { dimensions: [8], name: 'a', offset: 32 },
  ];
  expect(await verdict(gguf([], names, 64))).toBe('corrupt: a tensor stands twice');
});

test('types of values and of tensors that do not exist', async () => {
  for (const type of [13, 255, 4_294_967_295]) {
    expect(await verdict(gguf([['k', type, u64(0)]]))).toBe('corrupt: value type');
  }
  for (const type of [4, 31, 33, 36, 38, 64, 4_294_967_295]) {
    expect(await verdict(gguf([], [{ dimensions: [256], type }], 1024))).toBe('corrupt: tensor type');
  }
});

test('CVE-2025-0315: figures that have memory allocated for nothing', async () => {
  const before = process.memoryUsage().rss;
  for (let round = 0; round < 20; round += 1) {
    const keys = gguf([['k', array, Buffer.concat([u32(string), u64(ggufBounds.arrayElements)])]]);
    expect(await verdict(keys)).toBe('truncated: the header is cut off');
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
});

test('CVE-2025-0317: a figure of zero by which native code divides', async () => {
  const keys = ['block_count', 'embedding_length', 'attention.head_count', 'context_length'];
  for (const key of keys) {
    const bytes = gguf([
      ['general.architecture', string, text('llama')],
      [`llama.${key}`, uint32, u32(0)],
    ]);
    expect(await verdict(bytes)).toBe(`corrupt: ${key} is zero`);
  }
  expect(await verdict(gguf([['general.alignment', uint32, u32(0)]]))).toBe('corrupt: alignment');
});

test('figures at which native code ends the process', async () => {
  const architecture = ['general.architecture', string, text('llama')] as const;
  const float = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    return bytes;
  };
  const blocks = (count: number) => gguf([architecture, ['llama.block_count', uint32, u32(count)]]);
  expect(await verdict(blocks(512))).toBe('fine');
  for (const count of [513, 2 ** 31, 2 ** 32 - 1]) {
    expect(await verdict(blocks(count))).toBe('corrupt: block_count is too large');
  }
  for (const key of ['layer_norm_epsilon', 'layer_norm_rms_epsilon']) {
    const epsilon = (value: number) => gguf([architecture, [`llama.attention.${key}`, 6, float(value)]]);
    expect(await verdict(epsilon(1e-5))).toBe('fine');
    for (const value of [-1e-5, Number.NaN, -Infinity]) {
      expect(await verdict(epsilon(value))).toBe(`corrupt: attention.${key} is below zero`);
    }
  }
});

test('CVE-2025-0312: a name that is no text, which native code takes for a pointer', async () => {
  expect(await verdict(gguf([['general.architecture', uint32, u32(0)]]))).toBe('corrupt: a name is no text');
});

describe('lists that are not what native code takes them for, and that it reads beyond', () => {
  const float32 = 6;
  const words = Buffer.concat([u32(string), u64(3), text('a'), text('b'), text('c')]);
  const tokens = ['tokenizer.ggml.tokens', array, words] as const;
  const list = (type: number, count: number, bytes: number): Buffer =>
    Buffer.concat([u32(type), u64(count), Buffer.alloc(bytes)]);

  test('as many scores and types as there are tokens, before or behind them, are fine', async () => {
    const scores = ['tokenizer.ggml.scores', array, list(float32, 3, 12)] as const;
    const types = ['tokenizer.ggml.token_type', array, list(uint32, 3, 12)] as const;
    expect(await verdict(gguf([scores, tokens, types]))).toBe('fine');
  });

  test.each([
    ['scores', float32],
    ['token_type', uint32],
  ])('%s', async (name, type) => {
    const key = `tokenizer.ggml.${name}`;
    const short = [key, array, list(type, 2, 8)] as const;
    expect(await verdict(gguf([short, tokens]))).toBe('corrupt: a list is shorter than the vocabulary');
    expect(await verdict(gguf([tokens, short]))).toBe('corrupt: a list is shorter than the vocabulary');
    const another = 'corrupt: a list of the vocabulary is of another type';
    expect(await verdict(gguf([tokens, [key, array, list(0, 3, 3)]]))).toBe(another);
    expect(await verdict(gguf([tokens, [key, type, u32(1)]]))).toBe(
      'corrupt: a list of the vocabulary is none',
    );
  });

  test('tokens and merges that are no texts', async () => {
    for (const name of ['tokens', 'merges']) {
      const numbers = [`tokenizer.ggml.${name}`, array, list(uint32, 3, 12)] as const;
      expect(await verdict(gguf([numbers]))).toBe('corrupt: a list of the vocabulary is of another type');
    }
  });
});

test('CVE-2024-39720: a file that is its first bytes and nothing more', async () => {
  const whole = gguf([['general.architecture', string, text('llama')]]);
  for (let length = 4; length < whole.length - 32; length += 1) {
    expect(await verdict(whole.subarray(0, length))).toBe('truncated: the header is cut off');
  }
});

test.runIf(process.platform !== 'win32')(
  'CVE-2024-39721: what never ends when it is read is not opened, nor is a folder',
  async () => {
    const pipe = path.join(folder, 'pipe.gguf');
    execFileSync('mkfifo', [pipe]);
    for (const place of ['/dev/zero', pipe, folder]) {
      await expect(checkGguf(place)).rejects.toMatchObject({ problem: 'not_a_file' });
    }
  },
);

test('CVE-2024-39719, CVE-2024-39722: what is told of a file holds neither its path nor its content', async () => {
  const canary = 'canary-7f3a';
  const file = path.join(folder, `${canary}.gguf`);
  await expect(checkGguf(file)).rejects.not.toThrow(canary);
  await expect(checkGguf(path.join(file, 'below'))).rejects.toMatchObject({ problem: 'not_found' });
  const bad = [[canary, 99, text(canary)] as const, ['general.architecture', uint32, text(canary)] as const];
  for (const entry of bad) {
    const said = await verdict(gguf([entry]));
    expect(said).toMatch(/^corrupt/u);
    expect(said).not.toContain(canary);
  }
});

test('CVE-2025-49847: an entry of the vocabulary longer than native code can count', async () => {
  const entry = Buffer.alloc(ggufBounds.tokenBytes + 1, 'a').toString();
  const tokens = Buffer.concat([u32(string), u64(1), text(entry)]);
  expect(await verdict(gguf([['tokenizer.ggml.tokens', array, tokens]]))).toMatch(/^corrupt: a token/u);
});

test('arrays within arrays without end', async () => {
  const nested = Buffer.concat(Array<Buffer>(1000).fill(Buffer.concat([u32(array), u64(1)])));
  expect(await verdict(gguf([['k', array, nested]]))).toBe('corrupt: array nesting');
});

test('a key that stands twice, with two types', async () => {
  const bytes = gguf([
    ['general.alignment', uint32, u32(32)],
    ['general.alignment', uint32, u32(1)],
  ]);
  expect(await verdict(bytes)).toBe('corrupt: a key stands twice');
});
