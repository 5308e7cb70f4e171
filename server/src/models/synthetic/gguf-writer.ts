/**
 * Writes GGUF version 3, for models that are made up: to test with, and to measure a machine with.
 *
 * Source: the GGUF specification, ggml-org/ggml docs/gguf.md.
 */

/** A value of the header. */
export type Value =
  | { readonly type: 'uint16' | 'uint32' | 'int32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'int32s' | 'float32s'; readonly value: readonly number[] };

export const uint32 = (value: number): Value => ({ type: 'uint32', value });
export const string = (value: string): Value => ({ type: 'string', value });

export interface TensorPlace {
  readonly name: string;
  /** Row length first, as in the file. */
  readonly dimensions: readonly number[];
  /** ggml's number of the type. */
  readonly type: number;
  readonly byteLength: number;
}

export interface Tensor extends Omit<TensorPlace, 'byteLength'> {
  readonly weights: ArrayBufferView;
}

/** The whole file. */
export function encodeGguf(
  entries: ReadonlyMap<string, Value>,
  tensors: readonly Tensor[],
  alignment: number,
): Buffer {
  const places = tensors.map((tensor) => ({ ...tensor, byteLength: tensor.weights.byteLength }));
  const data = tensors.map(({ weights: { buffer, byteOffset, byteLength } }) =>
    padded(Buffer.from(buffer, byteOffset, byteLength), alignment),
  );
  return Buffer.concat([encodeHeader(entries, places, alignment), ...data]);
}

/** What stands before the weights. Each tensor's follow in the order of `tensors`, padded to `alignment`. */
export function encodeHeader(
  entries: ReadonlyMap<string, Value>,
  tensors: readonly TensorPlace[],
  alignment: number,
): Buffer {
  const parts: Buffer[] = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(entries.size)];
  for (const [key, value] of entries) parts.push(text(key), encodeValue(value));
  let offset = 0;
  for (const { name, dimensions, type, byteLength } of tensors) {
    parts.push(text(name), u32(dimensions.length), ...dimensions.map(u64), u32(type), u64(offset));
    offset += align(byteLength, alignment);
  }
  return padded(Buffer.concat(parts), alignment);
}

export function align(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

function encodeValue(value: Value): Buffer {
  switch (value.type) {
    case 'uint16': {
      const bytes = Buffer.alloc(2);
      bytes.writeUInt16LE(value.value);
      return Buffer.concat([u32(2), bytes]);
    }
    case 'int32':
      return Buffer.concat([u32(5), u32(value.value)]);
    case 'uint32':
      return Buffer.concat([u32(4), u32(value.value)]);
    case 'float32':
      return Buffer.concat([u32(6), f32(value.value)]);
    case 'float32s':
      return Buffer.concat([u32(9), u32(6), u64(value.value.length), ...value.value.map(f32)]);
    case 'bool':
      return Buffer.concat([u32(7), Buffer.from([value.value ? 1 : 0])]);
    case 'string':
      return Buffer.concat([u32(8), text(value.value)]);
    case 'strings':
      return Buffer.concat([u32(9), u32(8), u64(value.value.length), ...value.value.map(text)]);
    case 'int32s':
      return Buffer.concat([u32(9), u32(5), u64(value.value.length), ...value.value.map(u32)]);
  }
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function f32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}

function padded(bytes: Buffer, alignment: number): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(align(bytes.length, alignment) - bytes.length)]);
}
