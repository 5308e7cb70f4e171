import { promises as fs } from 'node:fs';
import { align, encodeHeader, string, type TensorPlace, uint32, type Value } from './gguf-writer.js';

/** A Llama with made-up weights in Q8_0: it says nothing, at the speed and in the memory of a real one of its shape. */
export interface SyntheticShape {
  /** Multiple of 32, and of `heads`. */
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  /** Multiple of 32. */
  readonly feedForward: number;
  /** At least 300. */
  readonly vocabulary: number;
  readonly contextLength: number;
  /** Whether the table of embeddings is the output too, as in many small models. @default false */
  readonly tied?: boolean;
  /** Makes a model that gives vectors: how they are pooled, as `llama_pooling_type`. Absent: it writes. */
  readonly pooling?: number;
}

const alignment = 32;
/** Weights of a Q8_0 block, and its bytes. */
const block = { weights: 32, bytes: 34 } as const;
/** Pieces in which the file is written. */
const pieceBytes = 4 * 1024 * 1024;

/** Writes such a model to `path`, over what was there. Equal shapes give equal bytes. Gives its size in bytes. */
export async function writeSyntheticModel(path: string, shape: SyntheticShape): Promise<number> {
  const tensors = placesOf(shape);
  const file = await fs.open(path, 'w', 0o600);
  try {
    const header = encodeHeader(metadata(shape), tensors, alignment);
    await file.write(header);
    const blocks = noise();
    let bytes = header.length;
    for (const { type, byteLength } of tensors) {
      const padding = align(byteLength, alignment) - byteLength;
      if (type === 0) await file.write(Buffer.from(new Float32Array(byteLength / 4).fill(1).buffer));
      else {
        for (let left = byteLength; left > 0; left -= blocks.length) {
          await file.write(blocks.subarray(0, Math.min(left, blocks.length)));
        }
      }
      if (padding > 0) await file.write(Buffer.alloc(padding));
      bytes += byteLength + padding;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

function placesOf(shape: SyntheticShape): readonly TensorPlace[] {
  const { width, feedForward, vocabulary } = shape;
  const keyValueWidth = (width / shape.heads) * shape.keyValueHeads;
  const matrix = (name: string, columns: number, rows: number): TensorPlace => ({
    name: `${name}.weight`,
    dimensions: [columns, rows],
    type: 8,
    byteLength: ((columns * rows) / block.weights) * block.bytes,
  });
  const norm = (name: string): TensorPlace => ({
    name: `${name}.weight`,
    dimensions: [width],
    type: 0,
    byteLength: width * 4,
  });
  const layers = Array.from({ length: shape.layers }, (_, layer) => `blk.${String(layer)}`).flatMap(
    (name) => [
      norm(`${name}.attn_norm`),
      matrix(`${name}.attn_q`, width, width),
      matrix(`${name}.attn_k`, width, keyValueWidth),
      matrix(`${name}.attn_v`, width, keyValueWidth),
      matrix(`${name}.attn_output`, width, width),
      norm(`${name}.ffn_norm`),
      matrix(`${name}.ffn_gate`, width, feedForward),
      matrix(`${name}.ffn_up`, width, feedForward),
      matrix(`${name}.ffn_down`, feedForward, width),
    ],
  );
  return [
    matrix('token_embd', width, vocabulary),
    ...layers,
    norm('output_norm'),
    ...(shape.tied === true ? [] : [matrix('output', width, vocabulary)]),
  ];
}

function metadata(shape: SyntheticShape): ReadonlyMap<string, Value> {
  const tokens = Array.from({ length: shape.vocabulary }, (_, index) =>
    index < 256 ? byteToken(index) : `<t${String(index)}>`,
  );
  const end = 256;
  return new Map<string, Value>([
    ['general.architecture', string('llama')],
    ['general.name', string('synthetic')],
    ['general.alignment', uint32(alignment)],
    ['general.file_type', uint32(7)],
    ['llama.context_length', uint32(shape.contextLength)],
    ['llama.embedding_length', uint32(shape.width)],
    ['llama.block_count', uint32(shape.layers)],
    ['llama.feed_forward_length', uint32(shape.feedForward)],
    ['llama.attention.head_count', uint32(shape.heads)],
    ['llama.attention.head_count_kv', uint32(shape.keyValueHeads)],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-5 }],
    ['llama.rope.dimension_count', uint32(shape.width / shape.heads)],
    ['llama.rope.freq_base', { type: 'float32', value: 10_000 }],
    ['llama.vocab_size', uint32(shape.vocabulary)],
    ...(shape.pooling === undefined ? [] : ([['llama.pooling_type', uint32(shape.pooling)]] as const)),
    ['tokenizer.ggml.model', string('gpt2')],
    ['tokenizer.ggml.pre', string('qwen2')],
    ['tokenizer.ggml.tokens', { type: 'strings', value: tokens }],
    [
      'tokenizer.ggml.token_type',
      { type: 'int32s', value: tokens.map((_, index) => (index === end ? 3 : 1)) },
    ],
    ['tokenizer.ggml.merges', { type: 'strings', value: [] }],
    ['tokenizer.ggml.bos_token_id', uint32(end)],
    ['tokenizer.ggml.eos_token_id', uint32(end)],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: false }],
  ]);
}

/** The printable stand-in for a byte in byte-level BPE. Source: GPT-2's bytes_to_unicode. */
function byteToken(byte: number): string {
  const isPrintable = (value: number): boolean =>
    (value >= 33 && value <= 126) || (value >= 161 && value <= 172) || value >= 174;
  if (isPrintable(byte)) return String.fromCodePoint(byte);
  const before = Array.from({ length: byte }, (_, value) => value).filter((value) => !isPrintable(value));
  return String.fromCodePoint(256 + before.length);
}

/** Q8_0 blocks of small weights: a scale of 2⁻¹⁰ as a half float, then 32 bytes. */
function noise(): Buffer {
  const blocks = Math.floor(pieceBytes / block.bytes);
  const bytes = Buffer.alloc(blocks * block.bytes);
  let state = 0x2545_f491;
  for (let index = 0; index < bytes.length; index += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[index] = state & 0xff;
  }
  for (let at = 0; at < bytes.length; at += block.bytes) bytes.writeUInt16LE(0x1400, at);
  return bytes;
}
