import { constants, promises as fs } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { emptyFound, factsOf, wantsNumber, wantsString, type Found, type GgufFacts } from './gguf-facts.js';
import { GgufReader } from './gguf-reader.js';
import { checkTensors } from './gguf-tensors.js';
import { bounded, corrupt, ggufBounds, readString } from './gguf-values.js';
import { checkVocabulary, isVocabularyList, type SkippedList, tokensKey } from './gguf-vocabulary.js';
import { ModelFileError } from './model-file-error.js';

export type { GgufFacts } from './gguf-facts.js';
export { ggufBounds } from './gguf-values.js';

/**
 * Reads the header of a GGUF file and refuses it where native code could be led astray: counts, lengths, nesting,
 * and where each tensor lies, all in arithmetic that cannot overflow.
 *
 * Source: the GGUF specification, ggml-org/ggml docs/gguf.md.
 */

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
const valueType = { float32: 6, string: 8, array: 9, float64: 12 } as const;
const signedTypes: ReadonlySet<number> = new Set([1, 3, 5, 11]);
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

async function checkHeader(reader: GgufReader, sizeBytes: number): Promise<GgufFacts> {
  if (sizeBytes < 4) throw new ModelFileError('not_gguf');
  await reader.need(4);
  if (reader.take(4).toString('latin1') !== 'GGUF') throw new ModelFileError('not_gguf');
  const version = await reader.uint32();
  if (version !== 2 && version !== 3) throw new ModelFileError('not_gguf', { detail: 'unknown version' });
  const tensorCount = bounded(await reader.uint64(), ggufBounds.tensors, 'tensor count');
  const keyCount = bounded(await reader.uint64(), ggufBounds.keys, 'key count');

  const found = emptyFound();
  for (let index = 0n; index < keyCount; index += 1n) await readEntry(reader, found);

  const alignment = found.numbers.get('general.alignment') ?? 32;
  if (alignment < 1 || alignment > ggufBounds.alignment || (alignment & (alignment - 1)) !== 0) {
    throw corrupt('alignment');
  }
  refuseImpossible(found);
  checkVocabulary(found.vocabularyLists);
  const tensors = await checkTensors(reader, tensorCount, BigInt(alignment), BigInt(sizeBytes));
  return { version, sizeBytes, ...factsOf(found, tensors) };
}

/** Figures by which native code divides, or without which it has nothing: none of them may be zero. */
const neverZero = ['block_count', 'embedding_length', 'attention.head_count', 'context_length'];

/** Figures that llama.cpp adds before it takes a root. Below zero, or no number, it ends the process. */
const neverNegative = ['attention.layer_norm_epsilon', 'attention.layer_norm_rms_epsilon'];

function refuseImpossible(found: Found): void {
  const architecture = found.strings.get('general.architecture') ?? '';
  const number = (key: string): number | undefined => found.numbers.get(`${architecture}.${key}`);
  for (const key of neverZero) {
    if (number(key) === 0) throw corrupt(`${key} is zero`);
  }
  for (const key of neverNegative) {
    if (!((number(key) ?? 0) >= 0)) throw corrupt(`${key} is below zero`);
  }
  if ((number('block_count') ?? 0) > ggufBounds.blocks) throw corrupt('block_count is too large');
}

/** One key with its value. Only the values that {@link GgufFacts} wants are kept. */
async function readEntry(reader: GgufReader, found: Found): Promise<void> {
  const key = await readString(reader, ggufBounds.keyBytes, 'key');
  if (found.keys.has(key)) throw corrupt('a key stands twice');
  found.keys.add(key);
  const type = await reader.uint32();
  if (wantsString(key)) {
    // llama.cpp takes the architecture for text without asking.
    if (type !== valueType.string) throw corrupt('a name is no text');
    const text = await readShortString(reader);
    if (text !== undefined) found.strings.set(key, text);
  } else if (type !== valueType.array && wantsNumber(key)) {
    found.numbers.set(key, await readNumber(reader, type));
  } else if (isVocabularyList(key)) {
    if (type !== valueType.array) throw corrupt('a list of the vocabulary is none');
    const list = await skipArray(reader, 1);
    found.vocabularyLists.set(key, list);
    if (key !== tokensKey) return;
    if (list.longest > ggufBounds.tokenBytes) throw corrupt('a token of the vocabulary is too long');
    found.vocabularySize = list.count;
    found.longestTokenBytes = list.longest;
  } else if (type === valueType.array && wantsNumber(key)) {
    found.lists.set(key, await readNumbers(reader));
  } else {
    await skipValue(reader, type, 0);
  }
}

/** A number of any width. Those beyond 2⁵³ are of no model. */
async function readNumber(reader: GgufReader, type: number): Promise<number> {
  const size = Number(scalarSize(type));
  if (!reader.has(size)) await reader.need(size);
  const bytes = reader.take(size);
  if (type === valueType.float32) return bytes.readFloatLE();
  if (type === valueType.float64) return bytes.readDoubleLE();
  const signed = signedTypes.has(type);
  if (size < 8) return signed ? bytes.readIntLE(0, size) : bytes.readUIntLE(0, size);
  const value = signed ? bytes.readBigInt64LE() : bytes.readBigUInt64LE();
  if (value > BigInt(Number.MAX_SAFE_INTEGER) || value < 0n) throw corrupt('a figure is out of range');
  return Number(value);
}

/** A list of numbers, one a layer. */
async function readNumbers(reader: GgufReader): Promise<readonly number[]> {
  const type = await reader.uint32();
  if (type === valueType.string || type === valueType.array) throw corrupt('a list of figures holds others');
  const count = bounded(await reader.uint64(), ggufBounds.layers, 'number of layers');
  const numbers: number[] = [];
  for (let index = 0n; index < count; index += 1n) numbers.push(await readNumber(reader, type));
  return numbers;
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
async function skipArray(reader: GgufReader, depth: number): Promise<SkippedList> {
  if (depth > ggufBounds.arrayDepth) throw corrupt('array nesting');
  const type = await reader.uint32();
  const count = bounded(await reader.uint64(), ggufBounds.arrayElements, 'array length');
  if (type !== valueType.string && type !== valueType.array) {
    await reader.skip(count * scalarSize(type));
    return { elementType: type, count: Number(count), longest: 0 };
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
  return { elementType: type, count: Number(count), longest: Number(longest) };
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

function scalarSize(type: number): bigint {
  const size = scalarBytes[type];
  if (size === undefined) throw corrupt('value type');
  return size;
}
