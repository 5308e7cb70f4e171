import { promises as fs } from 'node:fs';
import { encodeGguf, string, type Tensor, uint32, type Value } from '../synthetic/gguf-writer.js';

/**
 * Writes a model of a few hundred kilobytes with random weights, for tests that need *a* model and not this one.
 *
 * It is a Llama of two layers over a byte-level vocabulary of 384 tokens with ChatML and fill-in-the-middle tokens.
 * Equal options give equal bytes. It never ends a generation by itself, at any temperature: the tokens that end one
 * have a logit far below all others (see {@link outputWeights}).
 */

/** What a test may want different. */
export interface TinyGgufOptions {
  /** Default: 256. */
  readonly contextLength?: number;
  /** Names fill-in-the-middle tokens and has them in its vocabulary. Default: true. */
  readonly infill?: boolean;
  /** Whether one of those marks the middle. Default: true. */
  readonly infillMiddle?: boolean;
  /** The order that it says it fills in best: see `infillOrderKey`. Default: nothing is said of it. */
  readonly infillOrder?: string;
  /** How sure it says it must be: see `ModelInfo.confidence`. Default: nothing is said of it. */
  readonly confidence?: readonly number[];
  /** Has a ChatML template. Default: true. */
  readonly chat?: boolean;
  /** Whether it writes printable ASCII only; otherwise any byte comes, valid UTF-8 or not. Default: true. */
  readonly printable?: boolean;
  /** Default: 1. */
  readonly seed?: number;
  /** How its vectors are pooled, as `llama_pooling_type`: 1 mean, 2 first, 3 last. Default: nothing is said of it. */
  readonly pooling?: number;
}

const shape = { width: 64, layers: 2, heads: 4, keyValueHeads: 2, feedForward: 96, vocabulary: 384 } as const;
const alignment = 32;

const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Writes the model to `path`, over what was there. */
export async function writeTinyGguf(path: string, options: TinyGgufOptions = {}): Promise<void> {
  await fs.writeFile(path, makeTinyGguf(options));
}

/** The bytes of the model. */
export function makeTinyGguf(options: TinyGgufOptions = {}): Buffer {
  const vocabulary = makeVocabulary(options);
  return encodeGguf(metadata(vocabulary, options), tensors(vocabulary, options), alignment);
}

/** The same model in so many files, as llama.cpp's gguf-split makes them: only the first says more than its number. */
export function makeTinyParts(count: number, options: TinyGgufOptions = {}): readonly Buffer[] {
  const vocabulary = makeVocabulary(options);
  const all = tensors(vocabulary, options);
  const share = Math.ceil(all.length / count);
  return Array.from({ length: count }, (_, index) => {
    const entries = new Map<string, Value>([
      ...(index === 0 ? metadata(vocabulary, options) : []),
      ['split.no', { type: 'uint16', value: index }],
      ['split.count', { type: 'uint16', value: count }],
      ['split.tensors.count', { type: 'int32', value: all.length }],
    ]);
    return encodeGguf(entries, all.slice(index * share, (index + 1) * share), alignment);
  });
}

/** So many files of so many bytes of weights each, which are parts of one model: to be fetched, and not to be loaded. */
export function makeHollowParts(count: number, weightBytes: number): readonly Buffer[] {
  return Array.from({ length: count }, (_, index) => {
    const entries = new Map<string, Value>([
      ['general.architecture', string('llama')],
      ['general.name', string('hollow')],
      ['split.no', { type: 'uint16', value: index }],
      ['split.count', { type: 'uint16', value: count }],
      ['split.tensors.count', { type: 'int32', value: count }],
    ]);
    const weights = new Float32Array(weightBytes / 4);
    const name = `blk.${String(index)}.weight`;
    return encodeGguf(entries, [{ name, dimensions: [weights.length], type: 0, weights }], alignment);
  });
}

// --- Vocabulary ---------------------------------------------------------------------------------------------------

interface Vocabulary {
  readonly tokens: readonly string[];
  readonly merges: readonly string[];
  /** Ids of the special tokens by their text. */
  readonly special: ReadonlyMap<string, number>;
}

/** The printable stand-in for each byte in byte-level BPE. Source: GPT-2's bytes_to_unicode. */
function byteAlphabet(): readonly string[] {
  const alphabet: string[] = [];
  let next = 256;
  for (let byte = 0; byte < 256; byte += 1) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    alphabet.push(String.fromCodePoint(printable ? byte : next++));
  }
  return alphabet;
}

function makeVocabulary(options: TinyGgufOptions): Vocabulary {
  const control = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];
  // llama.cpp finds these by their text too, so leaving out their ids alone would not do.
  if (options.infill ?? true) control.push('<|fim_prefix|>', '<|fim_suffix|>');
  if ((options.infill ?? true) && (options.infillMiddle ?? true)) control.push('<|fim_middle|>');
  const alphabet = byteAlphabet();
  const tokens = [...alphabet];
  const merges: string[] = [];
  const letters = Array.from('etaoinsrhldcu');
  const pairs = [alphabet[32] ?? '', ...letters].flatMap((first) =>
    letters.map((second) => [first, second] as const),
  );
  for (const [first, second] of pairs) {
    if (tokens.length === shape.vocabulary - control.length) break;
    tokens.push(first + second);
    merges.push(`${first} ${second}`);
  }
  const special = new Map(control.map((text, index) => [text, tokens.length + index]));
  return { tokens: [...tokens, ...control], merges, special };
}

// --- Metadata -----------------------------------------------------------------------------------------------------

function metadata(vocabulary: Vocabulary, options: TinyGgufOptions): ReadonlyMap<string, Value> {
  const id = (text: string): number => vocabulary.special.get(text) ?? 0;
  const entries = new Map<string, Value>([
    ['general.architecture', string('llama')],
    ['general.name', string('tiny-random')],
    ['general.alignment', uint32(alignment)],
    ['general.file_type', uint32(0)],
    ['llama.context_length', uint32(options.contextLength ?? 256)],
    ['llama.embedding_length', uint32(shape.width)],
    ['llama.block_count', uint32(shape.layers)],
    ['llama.feed_forward_length', uint32(shape.feedForward)],
    ['llama.attention.head_count', uint32(shape.heads)],
    ['llama.attention.head_count_kv', uint32(shape.keyValueHeads)],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-5 }],
    ['llama.rope.dimension_count', uint32(shape.width / shape.heads)],
    ['llama.rope.freq_base', { type: 'float32', value: 10_000 }],
    ['llama.vocab_size', uint32(shape.vocabulary)],
    ['tokenizer.ggml.model', string('gpt2')],
    ['tokenizer.ggml.pre', string('qwen2')],
    ['tokenizer.ggml.tokens', { type: 'strings', value: vocabulary.tokens }],
    [
      'tokenizer.ggml.token_type',
      { type: 'int32s', value: vocabulary.tokens.map((text) => (vocabulary.special.has(text) ? 3 : 1)) },
    ],
    ['tokenizer.ggml.merges', { type: 'strings', value: vocabulary.merges }],
    ['tokenizer.ggml.bos_token_id', uint32(id('<|endoftext|>'))],
    ['tokenizer.ggml.eos_token_id', uint32(id('<|im_end|>'))],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: false }],
  ]);
  if (options.infill ?? true) {
    entries.set('tokenizer.ggml.fim_pre_token_id', uint32(id('<|fim_prefix|>')));
    entries.set('tokenizer.ggml.fim_suf_token_id', uint32(id('<|fim_suffix|>')));
    if (options.infillMiddle ?? true)
      entries.set('tokenizer.ggml.fim_mid_token_id', uint32(id('<|fim_middle|>')));
  }
  if (options.infillOrder !== undefined) entries.set('hearth.infill_order', string(options.infillOrder));
  if (options.confidence !== undefined)
    entries.set('hearth.confidence.mean_logprob', { type: 'float32s', value: options.confidence });
  if (options.pooling !== undefined) entries.set('llama.pooling_type', uint32(options.pooling));
  if (options.chat ?? true) entries.set('tokenizer.chat_template', string(chatTemplate));
  return entries;
}

// --- Weights ------------------------------------------------------------------------------------------------------

type FloatTensor = Tensor & { readonly weights: Float32Array };

function tensors(vocabulary: Vocabulary, options: TinyGgufOptions): readonly FloatTensor[] {
  const random = xorshift(options.seed ?? 1);
  const keyValueWidth = (shape.width / shape.heads) * shape.keyValueHeads;
  const matrix = (name: string, columns: number, rows: number): FloatTensor => {
    const reach = Math.sqrt(3 / columns);
    const weights = Float32Array.from({ length: columns * rows }, () => (random() * 2 - 1) * reach);
    return { name: `${name}.weight`, dimensions: [columns, rows], type: 0, weights };
  };
  const ones = (name: string): FloatTensor => ({
    name: `${name}.weight`,
    dimensions: [shape.width],
    type: 0,
    weights: new Float32Array(shape.width).fill(1),
  });

  const embedding = matrix('token_embd', shape.width, shape.vocabulary);
  // The first number of every embedding is 1 and no layer adds to it: see outputWeights.
  for (let row = 0; row < shape.vocabulary; row += 1) embedding.weights[row * shape.width] = 1;
  const all: FloatTensor[] = [embedding];
  for (let layer = 0; layer < shape.layers; layer += 1) {
    const block = `blk.${layer}`;
    const attentionOutput = matrix(`${block}.attn_output`, shape.width, shape.width);
    const feedForwardDown = matrix(`${block}.ffn_down`, shape.feedForward, shape.width);
    attentionOutput.weights.fill(0, 0, shape.width);
    feedForwardDown.weights.fill(0, 0, shape.feedForward);
    all.push(
      ones(`${block}.attn_norm`),
      matrix(`${block}.attn_q`, shape.width, shape.width),
      matrix(`${block}.attn_k`, shape.width, keyValueWidth),
      matrix(`${block}.attn_v`, shape.width, keyValueWidth),
      attentionOutput,
      ones(`${block}.ffn_norm`),
      matrix(`${block}.ffn_gate`, shape.width, shape.feedForward),
      matrix(`${block}.ffn_up`, shape.width, shape.feedForward),
      feedForwardDown,
    );
  }
  const output = matrix('output', shape.width, shape.vocabulary);
  outputWeights(output.weights, vocabulary, options.printable ?? true);
  return [...all, ones('output_norm'), output];
}

/**
 * The first number of the last hidden state is always positive, because it is 1 in every embedding and no layer
 * writes to it. So a row that holds one large negative weight there and nothing else gives its token a logit far
 * below all others, whatever the input.
 */
function outputWeights(weights: Float32Array, vocabulary: Vocabulary, printable: boolean): void {
  for (const [token, text] of vocabulary.tokens.entries()) {
    const row = token * shape.width;
    weights[row] = 0;
    const wanted = !vocabulary.special.has(text) && (!printable || /^[\u0020-\u007e\u0120]+$/u.test(text));
    if (wanted) continue;
    weights.fill(0, row, row + shape.width);
    weights[row] = -1000;
  }
}

/** Numbers from 0 to 1, the same ones for the same seed. */
function xorshift(seed: number): () => number {
  let state = Math.imul(seed, 2_654_435_761) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
