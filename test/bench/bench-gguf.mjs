import { closeSync, openSync, writeSync } from 'node:fs';

/**
 * Writes models with random weights in the shapes of small real ones: speed does not depend on what the weights are.
 * GGUF version 3, Llama, Q8_0, byte-level vocabulary. Source: the GGUF specification, ggml-org/ggml docs/gguf.md.
 */

/** @typedef {{ width: number, layers: number, heads: number, keyValueHeads: number, feedForward: number, vocabulary: number }} Shape */

/** @type {Record<'135m' | '0.5b', Shape>} */
export const shapes = {
  '135m': { width: 576, layers: 30, heads: 9, keyValueHeads: 3, feedForward: 1536, vocabulary: 49_152 },
  '0.5b': { width: 896, layers: 24, heads: 14, keyValueHeads: 2, feedForward: 4864, vocabulary: 151_936 },
};

const alignment = 32;
const contextLength = 8192;
const [typeF32, typeQ8] = [0, 8];
/** A block of Q8_0: a scale of 16 bits and 32 weights of 8. */
const [blockWeights, blockBytes] = [32, 34];

/** @param {string} file @param {Shape} shape */
export function writeBenchModel(file, shape) {
  const tensors = tensorsOf(shape);
  const descriptor = openSync(file, 'w');
  try {
    writeSync(descriptor, padded(header(shape, tensors)));
    const noise = randomBytes(1 << 20);
    for (const { columns, rows } of tensors) {
      const bytes =
        rows === 1 ? Buffer.from(new Float32Array(columns).fill(1).buffer) : blocks(columns, rows, noise);
      writeSync(descriptor, padded(bytes));
    }
  } finally {
    closeSync(descriptor);
  }
}

/** @param {Shape} shape */
function tensorsOf({ width, layers, heads, keyValueHeads, feedForward, vocabulary }) {
  const keyValue = (width / heads) * keyValueHeads;
  const tensors = [{ name: 'token_embd', columns: width, rows: vocabulary }];
  for (let layer = 0; layer < layers; layer += 1) {
    const add = (/** @type {string} */ name, /** @type {number} */ columns, /** @type {number} */ rows) =>
      tensors.push({ name: `blk.${layer}.${name}`, columns, rows });
    add('attn_norm', width, 1);
    add('attn_q', width, width);
    add('attn_k', width, keyValue);
    add('attn_v', width, keyValue);
    add('attn_output', width, width);
    add('ffn_norm', width, 1);
    add('ffn_gate', width, feedForward);
    add('ffn_up', width, feedForward);
    add('ffn_down', feedForward, width);
  }
  // Without an output matrix, the embeddings are it.
  return [...tensors, { name: 'output_norm', columns: width, rows: 1 }];
}

/** @param {Shape} shape @param {ReturnType<typeof tensorsOf>} tensors */
function header(shape, tensors) {
  const { tokens, merges } = vocabularyOf(shape.vocabulary);
  const end = shape.vocabulary - 1;
  const entries = [
    text('general.architecture', 'llama'),
    text('general.name', 'bench'),
    number('general.alignment', alignment),
    number('llama.context_length', contextLength),
    number('llama.embedding_length', shape.width),
    number('llama.block_count', shape.layers),
    number('llama.feed_forward_length', shape.feedForward),
    number('llama.attention.head_count', shape.heads),
    number('llama.attention.head_count_kv', shape.keyValueHeads),
    entry('llama.attention.layer_norm_rms_epsilon', 6, float(1e-5)),
    entry('llama.rope.freq_base', 6, float(10_000)),
    number('llama.rope.dimension_count', shape.width / shape.heads),
    number('llama.vocab_size', shape.vocabulary),
    text('tokenizer.ggml.model', 'gpt2'),
    text('tokenizer.ggml.pre', 'qwen2'),
    entry('tokenizer.ggml.tokens', 9, array(8, tokens.map(string))),
    entry(
      'tokenizer.ggml.token_type',
      9,
      array(
        5,
        tokens.map((_, token) => u32(token === end ? 3 : 1)),
      ),
    ),
    entry('tokenizer.ggml.merges', 9, array(8, merges.map(string))),
    number('tokenizer.ggml.bos_token_id', end),
    number('tokenizer.ggml.eos_token_id', end),
    entry('tokenizer.ggml.add_bos_token', 7, Buffer.from([0])),
  ];
  let offset = 0;
  const infos = tensors.map(({ name, columns, rows }) => {
    const sizes = rows === 1 ? [columns] : [columns, rows];
    const info = Buffer.concat([
      string(`${name}.weight`),
      u32(sizes.length),
      ...sizes.map(u64),
      u32(rows === 1 ? typeF32 : typeQ8),
      u64(offset),
    ]);
    const bytes = rows === 1 ? 4 * columns : ((columns * rows) / blockWeights) * blockBytes;
    offset += Math.ceil(bytes / alignment) * alignment;
    return info;
  });
  return Buffer.concat([
    Buffer.from('GGUF'),
    u32(3),
    u64(tensors.length),
    u64(entries.length),
    ...entries,
    ...infos,
  ]);
}

/** The 256 bytes, and words of letters that no text is made of: each character of a prompt is a token. */
function vocabularyOf(/** @type {number} */ size) {
  const bytes = [];
  let next = 256;
  for (let byte = 0; byte < 256; byte += 1) {
    const isPrintable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    bytes.push(String.fromCodePoint(isPrintable ? byte : next++));
  }
  const words = Array.from({ length: size - bytes.length - 1 }, (_, index) => `w${index.toString(36)}q`);
  return { tokens: [...bytes, ...words, '<|end|>'], merges: [`${bytes[0]} ${bytes[1]}`] };
}

/** Weights spread as those of a trained layer are, so that nothing overflows. */
function blocks(/** @type {number} */ columns, /** @type {number} */ rows, /** @type {Buffer} */ noise) {
  const count = (columns * rows) / blockWeights;
  const bytes = Buffer.alloc(count * blockBytes);
  for (let at = 0; at < bytes.length; at += noise.length) noise.copy(bytes, at);
  const scale = halfFloat(1 / (73 * Math.sqrt(columns)));
  for (let block = 0; block < count; block += 1) bytes.writeUInt16LE(scale, block * blockBytes);
  return bytes;
}

/** The same bytes each time. */
function randomBytes(/** @type {number} */ length) {
  const bytes = Buffer.alloc(length);
  let state = 0x9e37_79b9;
  for (let at = 0; at < length; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeUInt32LE(state >>> 0, at);
  }
  return bytes;
}

/** A positive number of 16 bits, for numbers that are normal ones. */
function halfFloat(/** @type {number} */ value) {
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0] ?? 0;
  return (((bits >>> 23) - 112) << 10) | ((bits >>> 13) & 0x3ff);
}

const number = (/** @type {string} */ key, /** @type {number} */ value) => entry(key, 4, u32(value));
const text = (/** @type {string} */ key, /** @type {string} */ value) => entry(key, 8, string(value));
const entry = (/** @type {string} */ key, /** @type {number} */ type, /** @type {Buffer} */ value) =>
  Buffer.concat([string(key), u32(type), value]);
const array = (/** @type {number} */ type, /** @type {Buffer[]} */ values) =>
  Buffer.concat([u32(type), u64(values.length), ...values]);

/** @param {string} value */
function string(value) {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** @param {number} value */
function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** @param {number} value */
function u64(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** @param {number} value */
function float(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

/** @param {Buffer} bytes */
function padded(bytes) {
  const rest = bytes.length % alignment;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(alignment - rest)]);
}
