import type { GgufReader } from './gguf-reader.js';
import { bounded, corrupt, ggufBounds, readString } from './gguf-values.js';
import { ModelFileError } from './model-file-error.js';

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
/** Types that ggml has given since; their blocks are not in the table, so they count as one bit a weight. */
const newerTypes = { first: 40, last: 63 } as const;

/** All tensors together. */
export interface TensorFacts {
  readonly count: number;
  readonly parameters: number;
  /** Bytes of all tensors; a lower bound where one is of a type newer than the table. */
  readonly weightBytes: number;
  /** Whether there is a head that scores pairs of texts. */
  readonly hasRankHead: boolean;
  /** Bytes of the embedding table, which llama.cpp looks up and does not multiply with where there is an output one. */
  readonly hasOutput: boolean;
}

/**
 * Reads the list of tensors and refuses what could lead native code outside the file: products that overflow, types
 * that do not exist, offsets that are not aligned, reach beyond the end or into another tensor.
 *
 * @throws ModelFileError
 */
export async function checkTensors(
  reader: GgufReader,
  count: bigint,
  alignment: bigint,
  fileBytes: bigint,
): Promise<TensorFacts> {
  const places: (readonly [start: bigint, end: bigint])[] = [];
  const names = new Set<string>();
  let [parameters, weightBytes] = [0n, 0n];
  for (let index = 0n; index < count; index += 1n) {
    const name = await readString(reader, ggufBounds.tensorNameBytes, 'tensor name');
    if (names.has(name)) throw corrupt('a tensor stands twice');
    names.add(name);
    const rank = await reader.uint32();
    if (rank > ggufBounds.dimensions) throw corrupt('tensor dimensions');
    const dimensions: bigint[] = [];
    for (let axis = 0; axis < rank; axis += 1) dimensions.push(await reader.uint64());
    const elements = product(dimensions);
    const bytes = tensorBytes(elements, dimensions[0] ?? 1n, await reader.uint32());
    const offset = await reader.uint64();
    if (offset % alignment !== 0n) throw corrupt('tensor offset');
    places.push([offset, offset + bytes]);
    parameters += elements;
    weightBytes += bytes;
  }
  const dataStart = ((BigInt(reader.position) + alignment - 1n) / alignment) * alignment;
  const dataBytes = places.reduce((most, [, end]) => (end > most ? end : most), 0n);
  if (count > 0n && dataStart + dataBytes > fileBytes) {
    throw new ModelFileError('truncated', { detail: 'weights are missing' });
  }
  refuseOverlap(places);
  return {
    count: Number(count),
    parameters: Number(parameters),
    weightBytes: Number(weightBytes),
    hasRankHead: names.has('cls.output.weight') || names.has('cls.weight'),
    hasOutput: names.has('output.weight'),
  };
}

function refuseOverlap(places: (readonly [bigint, bigint])[]): void {
  places.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  let last = 0n;
  for (const [start, end] of places) {
    if (start < last) throw corrupt('tensors overlap');
    last = end;
  }
}

function product(dimensions: readonly bigint[]): bigint {
  let elements = 1n;
  for (const dimension of dimensions) {
    if (dimension === 0n) throw corrupt('tensor dimensions');
    elements *= dimension;
    if (elements >= 1n << 63n) throw corrupt('tensor dimensions');
  }
  return elements;
}

function tensorBytes(elements: bigint, rowLength: bigint, type: number): bigint {
  const known = tensorTypes[type];
  if (known === undefined) {
    if (type < newerTypes.first || type > newerTypes.last) throw corrupt('tensor type');
    return elements / 8n + 1n;
  }
  const [block, bytes] = known;
  if (rowLength % block !== 0n) throw corrupt('tensor dimensions');
  return bounded((elements / block) * bytes, (1n << 63n) - 1n, 'tensor size');
}
