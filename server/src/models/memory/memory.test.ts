import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { GgufFacts } from '../gguf-facts.js';
import { estimateMemory } from './estimate.js';
import { fitModel } from './fit.js';
import { type FreeMemory, freeMemory } from './free-memory.js';
import { keyValueTypeFor } from './key-value-type.js';

const mebibyte = 1024 * 1024;

/** Qwen2.5 Coder 1.5B in Q8_0. */
const coder: GgufFacts = {
  version: 3,
  sizeBytes: 1_646_573_056,
  architecture: 'qwen2',
  name: 'coder',
  contextLength: 32_768,
  chatTemplate: true,
  infillTokens: true,
  confidence: undefined,
  vocabularySize: 151_936,
  longestTokenBytes: 128,
  parameters: 1_543_714_304,
  weightBytes: 1_640_000_000,
  quantization: 'Q8_0',
  purpose: 'generate',
  shape: {
    layers: 28,
    width: 1536,
    heads: 12,
    keyValueHeads: Array<number>(28).fill(2),
    keyLength: 128,
    valueLength: 128,
    feedForward: 8960,
    slidingWindow: undefined,
    latentLength: undefined,
  },
};
const free = (bytes: number): FreeMemory => ({ bytes, limitedBy: 'machine' });

describe('what a model takes', () => {
  test('keys and values: 28 KiB for each token of this model', () => {
    const { keyValue } = estimateMemory(coder, { contextSize: 8192, sequences: 2 });
    expect(keyValue).toBe(2 * 8192 * 28 * 1024);
  });

  test('layers with a window keep no more than the window', () => {
    const gemma = {
      ...coder,
      architecture: 'gemma3',
      shape: { ...coder.shape!, layers: 24, slidingWindow: 512 },
    };
    const plain = estimateMemory(coder, { contextSize: 32_768, sequences: 1 }).keyValue;
    expect(estimateMemory(gemma, { contextSize: 32_768, sequences: 1 }).keyValue).toBeLessThan(plain / 4);
  });

  test('latent attention keeps one vector', () => {
    const latent = { ...coder, shape: { ...coder.shape!, latentLength: 576 } };
    expect(estimateMemory(latent, { contextSize: 1024, sequences: 1 }).keyValue).toBe(1024 * 28 * 576 * 2);
  });

  test('in q8_0 the context takes a little more than half, and models whose heads do not fit keep half floats', () => {
    const keyValueOf = (facts: GgufFacts, keyValueType: 'f16' | 'q8_0'): number =>
      estimateMemory(facts, { contextSize: 8192, sequences: 2, keyValueType }).keyValue;
    expect(keyValueOf(coder, 'q8_0') / keyValueOf(coder, 'f16')).toBeCloseTo(34 / 64);
    expect(keyValueTypeFor(coder, 'q8_0')).toBe('q8_0');
    const odd = { ...coder, shape: { ...coder.shape!, keyLength: 80, valueLength: 80 } };
    expect(keyValueOf(odd, 'q8_0')).toBe(keyValueOf(odd, 'f16'));
    expect(keyValueTypeFor({ ...coder, shape: undefined }, 'q8_0')).toBe('f16');
  });

  test('a model that gives vectors takes one text at a time, of a bounded length', () => {
    const embedder = { ...coder, purpose: 'embed' } as const;
    const long = estimateMemory(embedder, { contextSize: 32_768, sequences: 8 });
    expect(long).toEqual(estimateMemory(embedder, { contextSize: 2048, sequences: 1 }));
    expect(long.keyValue).toBe(2048 * 28 * 1024);
  });

  test('more context and more sequences never take less', () => {
    const size = fc.integer({ min: 64, max: 131_072 });
    const some = fc.integer({ min: 1, max: 16 });
    fc.assert(
      fc.property(size, size, some, (one, other, sequences) => {
        const total = (contextSize: number, count: number): number =>
          estimateMemory(coder, { contextSize, sequences: count }).total;
        expect(total(Math.max(one, other), sequences)).toBeGreaterThanOrEqual(
          total(Math.min(one, other), sequences),
        );
        expect(total(one, sequences + 1)).toBeGreaterThan(total(one, sequences));
      }),
    );
  });
});

describe('whether it fits', () => {
  test('the usual context where there is room, a longer one where there is plenty', () => {
    expect(fitModel(coder, { contextSize: undefined, sequences: 1 }, free(4e9)).contextSize).toBe(8192);
    expect(fitModel(coder, { contextSize: undefined, sequences: 1 }, free(64e9)).contextSize).toBe(32_768);
  });

  test('a shorter one, chosen by itself, where there is little', () => {
    const { contextSize, estimate } = fitModel(coder, { contextSize: undefined, sequences: 1 }, free(2.15e9));
    expect(contextSize).toBeLessThan(8192);
    expect(contextSize).toBeGreaterThanOrEqual(512);
    expect(estimate.total).toBeLessThanOrEqual(2.15e9 * 0.95);
  });

  test('a context that was asked for is given or refused with the figures and the largest that fits', () => {
    const wish = { contextSize: 32_768, sequences: 1 };
    expect(fitModel(coder, wish, free(8e9)).contextSize).toBe(32_768);
    expect(() => fitModel(coder, wish, free(2.3e9))).toThrow(
      expect.objectContaining({
        code: 'insufficient_memory',
        message: expect.stringMatching(
          /2\.\d GiB with 32768 .* 2\.1 GiB is free.* --context-size \d+/u,
        ) as string,
      }),
    );
  });

  test('the largest context that is offered does fit, and the next does not', () => {
    fc.assert(
      fc.property(fc.integer({ min: 500_000_000, max: 5_000_000_000 }), (bytes) => {
        const wish = { contextSize: 32_768, sequences: 1 };
        let offered: number | undefined;
        try {
          fitModel(coder, wish, free(bytes));
        } catch (error) {
          offered = Number(/--context-size (\d+)/u.exec(String(error))?.[1]);
        }
        if (offered === undefined || Number.isNaN(offered)) return;
        expect(fitModel(coder, { ...wish, contextSize: offered }, free(bytes)).contextSize).toBe(offered);
        expect(() => fitModel(coder, { ...wish, contextSize: offered + 256 }, free(bytes))).toThrow(/needs/u);
      }),
    );
  });

  test('where nothing fits, a smaller model is the way', () => {
    expect(() => fitModel(coder, { contextSize: undefined, sequences: 1 }, free(1e9))).toThrow(
      /smaller model/u,
    );
  });
});

describe('what is free', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), 'hearth-memory-'));
    await put('proc/meminfo', 'MemTotal: 9 kB\nMemAvailable:    8388608 kB\n');
  });
  afterEach(async () => {
    await rm(root, { recursive: true, force: true });
  });
  async function put(file: string, text: string): Promise<void> {
    await mkdir(path.dirname(path.join(root, file)), { recursive: true });
    await writeFile(path.join(root, file), text);
  }

  test('the machine’s, where nothing limits it', async () => {
    expect(await freeMemory(root)).toEqual({ bytes: 8 * 1024 ** 3, limitedBy: 'machine' });
    expect((await freeMemory('/nonexistent', 7)).bytes).toBe(7);
  });

  test('control groups of version 2: the tightest on the way out', async () => {
    await put('proc/self/cgroup', '0::/a/b\n');
    await put('sys/fs/cgroup/a/memory.max', String(2048 * mebibyte));
    await put('sys/fs/cgroup/a/memory.current', String(1024 * mebibyte));
    await put('sys/fs/cgroup/a/memory.stat', `anon 1\ninactive_file ${String(256 * mebibyte)}\n`);
    await put('sys/fs/cgroup/a/b/memory.max', 'max');
    expect(await freeMemory(root)).toEqual({ bytes: 1280 * mebibyte, limitedBy: 'container' });
  });

  test('control groups of version 2 in a container see themselves as the root', async () => {
    await put('proc/self/cgroup', '0::/\n');
    await put('sys/fs/cgroup/memory.max', String(512 * mebibyte));
    await put('sys/fs/cgroup/memory.current', String(500 * mebibyte));
    expect((await freeMemory(root)).bytes).toBe(12 * mebibyte);
  });

  test('control groups of version 1, whose largest number means none', async () => {
    await put('proc/self/cgroup', '5:cpu:/x\n4:memory:/docker/y\n');
    await put('sys/fs/cgroup/memory/docker/y/memory.limit_in_bytes', '9223372036854771712');
    expect((await freeMemory(root)).limitedBy).toBe('machine');
    await put('sys/fs/cgroup/memory/docker/y/memory.limit_in_bytes', String(600 * mebibyte));
    await put('sys/fs/cgroup/memory/docker/y/memory.usage_in_bytes', String(100 * mebibyte));
    await put('sys/fs/cgroup/memory/docker/y/memory.stat', `total_inactive_file ${String(50 * mebibyte)}\n`);
    expect(await freeMemory(root)).toEqual({ bytes: 550 * mebibyte, limitedBy: 'container' });
  });

  test('a group that is beyond its limit has none', async () => {
    await put('proc/self/cgroup', '0::/a\n');
    await put('sys/fs/cgroup/a/memory.max', '1000');
    await put('sys/fs/cgroup/a/memory.current', '2000');
    expect((await freeMemory(root)).bytes).toBe(0);
  });
});
