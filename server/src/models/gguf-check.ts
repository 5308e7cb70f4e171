import { constants, promises as fs } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { GgufReader } from './gguf-reader.js';
import { ModelFileError } from './model-file-error.js';

/**
 * Reads the header of a GGUF file and refuses it where native code could be led astray: counts, lengths, nesting,
 * and where each tensor lies, all in arithmetic that cannot overflow.
 *
 * Source: the GGUF specification, ggml-org/ggml docs/gguf.md.
 */

/** Bounds of a header. A real file stays far below each. */
export const ggufBounds = {
  keys: 65_536n,
  tensors: 1_000_000n,
  keyBytes: 65_535n,
  tensorNameBytes: 1024n,
  stringBytes: 64n * 1024n * 1024n,
  arrayElements: 16n * 1024n * 1024n,
  /** Arrays of arrays of … */
  arrayDepth: 4,
  dimensions: 4,
  alignment: 65_536,
} as const;

/** What is good to know of a model before it is loaded. */
export interface GgufFacts {
  readonly version: number;
  readonly sizeBytes: number;
  /** Such as `llama`; undefined where the file is silent. */
  readonly architecture: string | undefined;
  readonly name: string | undefined;
  /** Tokens that the model was trained to look back on. */
  readonly contextLength: number | undefined;
  readonly chatTemplate: boolean;
  /** Whether the file names its fill-in-the-middle tokens. Some vocabularies have them without saying so. */
  readonly infillTokens: boolean;
  readonly vocabularySize: number;
  /** Longest entry of the vocabulary in bytes: no token stands for more text. 0: no vocabulary. */
  readonly longestTokenBytes: number;
}

/**
 * Checks the file at `path`.
 *
 * @throws ModelFileError that says what is wrong and never holds the path.
 */
export async function checkGguf(path: string): Promise<GgufFacts> {
  const file = await openRegularFile(path);
  try {
    return await checkOpenGguf(file);
  } finally {
    await file.close();
  }
}

/** Checks a file that is open already, so that what is checked is what its reader will read. @throws ModelFileError */
export async function checkOpenGguf(file: FileHandle): Promise<GgufFacts> {
  const { size } = await file.stat();
  return checkHeader(new GgufReader(file, size), size);
}

/** Should a named pipe take the file's place, the open does not wait for its writer. Windows has no such flag. */
const nonBlocking = (constants as Readonly<Record<string, number | undefined>>)['O_NONBLOCK'] ?? 0;

/** Opens what is a file, and nothing else, for reading. @throws ModelFileError */
export async function openRegularFile(path: string): Promise<FileHandle> {
  try {
    // A named pipe would hold the open for ever, so ask what it is before opening it.
    if (!(await fs.stat(path)).isFile()) throw new ModelFileError('not_a_file');
    const file = await fs.open(path, constants.O_RDONLY | nonBlocking);
    if ((await file.stat()).isFile()) return file;
    await file.close();
    throw new ModelFileError('not_a_file');
  } catch (error) {
    if (error instanceof ModelFileError) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') throw new ModelFileError('not_found');
    if (code === 'EISDIR') throw new ModelFileError('not_a_file');
    throw new ModelFileError('not_readable');
  }
}

/** GGUF value types, by their number in the file. */
const valueType = { uint32: 4, bool: 7, string: 8, array: 9 } as const;
const scalarBytes: Readonly<Record<number, bigint>> = {
  0: 1n,
  1: 1n,
  2: 2n,
  3: 2n,
  4: 4n,
  5: 4n,
  6: 4n,
  7: 1n,
  10: 8n,
  11: 8n,
  12: 8n,
};

/** [weights in a block, bytes of a block] of each tensor type, by its number in the file. Source: ggml.h. */
const tensorTypes: Readonly<Record<number, readonly [bigint, bigint]>> = {
  0: [1n, 4n],
  1: [1n, 2n],
  2: [32n, 18n],
  3: [32n, 20n],
  6: [32n, 22n],
  7: [32n, 24n],
  8: [32n, 34n],
  9: [32n, 36n],
  10: [256n, 84n],
  11: [256n, 110n],
  12: [256n, 144n],
  13: [256n, 176n],
  14: [256n, 210n],
  15: [256n, 292n],
  16: [256n, 66n],
  17: [256n, 74n],
  18: [256n, 98n],
  19: [256n, 50n],
  20: [32n, 18n],
  21: [256n, 110n],
  22: [256n, 82n],
  23: [256n, 136n],
  24: [1n, 1n],
  25: [1n, 2n],
  26: [1n, 4n],
  27: [1n, 8n],
  28: [1n, 8n],
  29: [256n, 56n],
  30: [1n, 2n],
  34: [256n, 54n],
  35: [256n, 66n],
  39: [32n, 17n],
};

interface Found {
  readonly strings: Map<string, string>;
  readonly numbers: Map<string, number>;
  readonly keys: Set<string>;
  vocabularySize: number;
  longestTokenBytes: number;
}

async function checkHeader(reader: GgufReader, sizeBytes: number): Promise<GgufFacts> {
  if (sizeBytes < 4) throw new ModelFileError('not_gguf');
  await reader.need(4);
  if (reader.take(4).toString('latin1') !== 'GGUF') throw new ModelFileError('not_gguf');
  const version = await reader.uint32();
  if (version !== 2 && version !== 3) throw new ModelFileError('not_gguf', { detail: 'unknown version' });
  const tensorCount = bounded(await reader.uint64(), ggufBounds.tensors, 'tensor count');
  const keyCount = bounded(await reader.uint64(), ggufBounds.keys, 'key count');

  const found: Found = {
    strings: new Map(),
    numbers: new Map(),
    keys: new Set(),
    vocabularySize: 0,
    longestTokenBytes: 0,
  };
  for (let index = 0n; index < keyCount; index += 1n) await readEntry(reader, found);

  const alignment = found.numbers.get('general.alignment') ?? 32;
  if (alignment < 1 || alignment > ggufBounds.alignment || (alignment & (alignment - 1)) !== 0) {
    throw corrupt('alignment');
  }
  await checkTensors(reader, tensorCount, BigInt(alignment), BigInt(sizeBytes));

  const architecture = found.strings.get('general.architecture');
  return {
    version,
    sizeBytes,
    architecture,
    name: found.strings.get('general.name'),
    contextLength: found.numbers.get(`${architecture ?? ''}.context_length`),
    chatTemplate: found.keys.has('tokenizer.chat_template'),
    infillTokens:
      (found.keys.has('tokenizer.ggml.fim_pre_token_id') &&
        found.keys.has('tokenizer.ggml.fim_suf_token_id')) ||
      (found.keys.has('tokenizer.ggml.prefix_token_id') && found.keys.has('tokenizer.ggml.suffix_token_id')),
    vocabularySize: found.vocabularySize,
    longestTokenBytes: found.longestTokenBytes,
  };
}

/** One key with its value. Only the values that {@link GgufFacts} wants are kept. */
async function readEntry(reader: GgufReader, found: Found): Promise<void> {
  const key = await readString(reader, ggufBounds.keyBytes, 'key');
  if (found.keys.has(key)) throw corrupt('a key stands twice');
  found.keys.add(key);
  const type = await reader.uint32();
  if (type === valueType.string && (key === 'general.architecture' || key === 'general.name')) {
    const text = await readShortString(reader);
    if (text !== undefined) found.strings.set(key, text);
  } else if (type === valueType.uint32 && (key === 'general.alignment' || key.endsWith('.context_length'))) {
    found.numbers.set(key, await reader.uint32());
  } else if (type === valueType.array && key === 'tokenizer.ggml.tokens') {
    const { count, longest } = await skipArray(reader, 1);
    found.vocabularySize = count;
    found.longestTokenBytes = longest;
  } else {
    await skipValue(reader, type, 0);
  }
}

async function skipValue(reader: GgufReader, type: number, depth: number): Promise<void> {
  if (type === valueType.array) {
    await skipArray(reader, depth + 1);
    return;
  }
  if (type === valueType.string) {
    await reader.skip(bounded(await reader.uint64(), ggufBounds.stringBytes, 'string length'));
    return;
  }
  await reader.skip(scalarSize(type));
}

/** Passes over an array; says how many elements it had and, for strings, the longest in bytes. */
async function skipArray(reader: GgufReader, depth: number): Promise<{ count: number; longest: number }> {
  if (depth > ggufBounds.arrayDepth) throw corrupt('array nesting');
  const type = await reader.uint32();
  const count = bounded(await reader.uint64(), ggufBounds.arrayElements, 'array length');
  if (type !== valueType.string && type !== valueType.array) {
    await reader.skip(count * scalarSize(type));
    return { count: Number(count), longest: 0 };
  }
  // The smallest string takes eight bytes, the smallest array twelve: a count beyond that lies.
  if (count * 8n > BigInt(reader.remaining))
    throw new ModelFileError('truncated', { detail: 'the header is cut off' });
  let longest = 0n;
  for (let index = 0n; index < count; index += 1n) {
    if (type === valueType.array) {
      await skipArray(reader, depth + 1);
      continue;
    }
    const length = bounded(await reader.uint64(), ggufBounds.stringBytes, 'string length');
    await reader.skip(length);
    if (length > longest) longest = length;
  }
  return { count: Number(count), longest: Number(longest) };
}

async function checkTensors(
  reader: GgufReader,
  count: bigint,
  alignment: bigint,
  fileBytes: bigint,
): Promise<void> {
  /** Largest end of a tensor relative to where the data begins, which is known only after the last entry. */
  let dataBytes = 0n;
  for (let index = 0n; index < count; index += 1n) {
    await reader.skip(bounded(await reader.uint64(), ggufBounds.tensorNameBytes, 'tensor name length'));
    const dimensionCount = await reader.uint32();
    if (dimensionCount > ggufBounds.dimensions) throw corrupt('tensor dimensions');
    const dimensions: bigint[] = [];
    for (let dimension = 0; dimension < dimensionCount; dimension += 1)
      dimensions.push(await reader.uint64());
    const type = await reader.uint32();
    const offset = await reader.uint64();
    if (offset % alignment !== 0n) throw corrupt('tensor offset');
    const end = offset + tensorBytes(dimensions, type);
    if (end > dataBytes) dataBytes = end;
  }
  const headerBytes = BigInt(reader.position);
  const dataStart = ((headerBytes + alignment - 1n) / alignment) * alignment;
  if (count > 0n && dataStart + dataBytes > fileBytes) {
    throw new ModelFileError('truncated', { detail: 'weights are missing' });
  }
}

/** Bytes of a tensor; at least one for a type that this table does not know yet. */
function tensorBytes(dimensions: readonly bigint[], type: number): bigint {
  let elements = 1n;
  for (const dimension of dimensions) {
    if (dimension === 0n) throw corrupt('tensor dimensions');
    elements *= dimension;
    if (elements >= 1n << 63n) throw corrupt('tensor dimensions');
  }
  const known = tensorTypes[type];
  if (known === undefined) return 1n;
  const [block, bytes] = known;
  if ((dimensions[0] ?? 1n) % block !== 0n) throw corrupt('tensor dimensions');
  return (elements / block) * bytes;
}

async function readString(reader: GgufReader, bound: bigint, what: string): Promise<string> {
  const length = Number(bounded(await reader.uint64(), bound, `${what} length`));
  if (!reader.has(length)) await reader.need(length);
  return reader.take(length).toString('utf8');
}

/** A string, or undefined where it is longer than any name has need to be. */
async function readShortString(reader: GgufReader): Promise<string | undefined> {
  const length = bounded(await reader.uint64(), ggufBounds.stringBytes, 'string length');
  if (length > 1024n) {
    await reader.skip(length);
    return undefined;
  }
  await reader.need(Number(length));
  return reader.take(Number(length)).toString('utf8');
}

function bounded(value: bigint, bound: bigint, what: string): bigint {
  if (value > bound) throw corrupt(what);
  return value;
}

function scalarSize(type: number): bigint {
  const size = scalarBytes[type];
  if (size === undefined) throw corrupt('value type');
  return size;
}

function corrupt(what: string): ModelFileError {
  return new ModelFileError('corrupt', { detail: what });
}
