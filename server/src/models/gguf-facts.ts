import type { TensorFacts } from './gguf-tensors.js';
import type { SkippedList } from './gguf-vocabulary.js';

/** What is good to know of a model before it is loaded: what a checked GGUF header says. */
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
  /**
   * How sure the model must be of ghost text (`hearth.confidence.mean_logprob`): see `ModelInfo.confidence`. Undefined
   * where the file is silent, or says what is no such list.
   */
  readonly confidence: readonly number[] | undefined;
  readonly vocabularySize: number;
  /** Longest entry of the vocabulary in bytes: no token stands for more text. 0: no vocabulary. */
  readonly longestTokenBytes: number;
  /** Number of weights. */
  readonly parameters: number;
  readonly weightBytes: number;
  /** How the weights are kept, such as `Q4_K_M`; undefined where the file is silent or newer. */
  readonly quantization: string | undefined;
  readonly purpose: ModelPurpose;
  /** Undefined where the file lacks what a transformer's figures need. */
  readonly shape: ModelShape | undefined;
  /** Only of a part of a model in several files. */
  readonly split?: SplitFacts;
}

/** What a part says of the whole. */
export interface SplitFacts {
  /** From 0. */
  readonly index: number;
  /** Number of files. */
  readonly count: number;
  /** Tensors of all files, and of this one. */
  readonly tensors: number;
  readonly ownTensors: number;
}

/** What a model is made for. A `projector` turns pictures into what another model reads, and is none by itself. */
export type ModelPurpose = 'generate' | 'embed' | 'rerank' | 'projector';

/** The figures that decide how much memory a context takes. */
export interface ModelShape {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  /** Of each layer; 0: a layer that keeps nothing for each token. */
  readonly keyValueHeads: readonly number[];
  /** Length of one head's key and value. */
  readonly keyLength: number;
  readonly valueLength: number;
  readonly feedForward: number;
  /** Tokens that the layers with a window look back on; undefined: none has one. */
  readonly slidingWindow: number | undefined;
  /** Multi-head latent attention: numbers a layer keeps for each token in place of keys and values. */
  readonly latentLength: number | undefined;
}

/** What is gathered while the header is read. */
export interface Found {
  readonly strings: Map<string, string>;
  readonly numbers: Map<string, number>;
  readonly lists: Map<string, readonly number[]>;
  readonly keys: Set<string>;
  readonly vocabularyLists: Map<string, SkippedList>;
  vocabularySize: number;
  longestTokenBytes: number;
}

export function emptyFound(): Found {
  return {
    strings: new Map(),
    numbers: new Map(),
    lists: new Map(),
    keys: new Set(),
    vocabularyLists: new Map(),
    vocabularySize: 0,
    longestTokenBytes: 0,
  };
}

const stringKeys: ReadonlySet<string> = new Set(['general.architecture', 'general.name', 'general.type']);
/** A list of thresholds: what ghost text asks of a model that was measured for it. */
const confidenceKey = 'hearth.confidence.mean_logprob';
/** Most thresholds: no suggestion has more tokens. */
const mostThresholds = 128;
const generalNumbers: ReadonlySet<string> = new Set([
  'general.alignment',
  'general.file_type',
  'split.no',
  'split.count',
  'split.tensors.count',
  confidenceKey,
]);
/** Behind the name of the architecture. */
const shapeNumbers: ReadonlySet<string> = new Set([
  'context_length',
  'block_count',
  'embedding_length',
  'feed_forward_length',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.sliding_window',
  'attention.kv_lora_rank',
  'attention.layer_norm_epsilon',
  'attention.layer_norm_rms_epsilon',
  'rope.dimension_count',
  'pooling_type',
  'expert_used_count',
]);

/** Whether a key's value is text that the facts want. */
export function wantsString(key: string): boolean {
  return stringKeys.has(key);
}

/** Whether a key's value is a figure that the facts want. */
export function wantsNumber(key: string): boolean {
  if (generalNumbers.has(key)) return true;
  const dot = key.indexOf('.');
  return dot > 0 && shapeNumbers.has(key.slice(dot + 1));
}

/** Puts together what the header and the list of tensors say. */
export function factsOf(found: Found, tensors: TensorFacts): Omit<GgufFacts, 'version' | 'sizeBytes'> {
  const architecture = found.strings.get('general.architecture');
  const number = (key: string): number | undefined => found.numbers.get(`${architecture ?? ''}.${key}`);
  return {
    architecture,
    name: found.strings.get('general.name'),
    contextLength: number('context_length'),
    chatTemplate: found.keys.has('tokenizer.chat_template'),
    infillTokens:
      (found.keys.has('tokenizer.ggml.fim_pre_token_id') &&
        found.keys.has('tokenizer.ggml.fim_suf_token_id')) ||
      (found.keys.has('tokenizer.ggml.prefix_token_id') && found.keys.has('tokenizer.ggml.suffix_token_id')),
    confidence: confidenceOf(found.lists.get(confidenceKey)),
    vocabularySize: found.vocabularySize,
    longestTokenBytes: found.longestTokenBytes,
    parameters: tensors.parameters,
    weightBytes: tensors.weightBytes,
    quantization: fileTypes[found.numbers.get('general.file_type') ?? -1],
    purpose: purposeOf(found, architecture, number('pooling_type'), tensors),
    shape: shapeOf(found, architecture ?? '', number),
    ...splitOf(found, tensors),
  };
}

function splitOf({ numbers }: Found, { count: ownTensors }: TensorFacts): Pick<GgufFacts, 'split'> {
  const count = numbers.get('split.count') ?? 0;
  if (count < 2) return {};
  const [index, tensors] = [numbers.get('split.no') ?? 0, numbers.get('split.tensors.count') ?? 0];
  return { split: { index, count, tensors, ownTensors } };
}

/** Logarithms of probabilities are at most 0. */
function confidenceOf(list: readonly number[] | undefined): readonly number[] | undefined {
  if (list === undefined || list.length === 0 || list.length > mostThresholds) return undefined;
  return list.every((least) => Number.isFinite(least) && least <= 0) ? list : undefined;
}

/** Source: llama.h, enum llama_pooling_type. */
const rankPooling = 4;

function purposeOf(
  found: Found,
  architecture: string | undefined,
  pooling: number | undefined,
  tensors: TensorFacts,
): ModelPurpose {
  if (architecture === 'clip' || found.strings.get('general.type') === 'mmproj') return 'projector';
  if (pooling === rankPooling || tensors.hasRankHead) return 'rerank';
  const embeds = pooling !== undefined && pooling > 0;
  return embeds || /bert/u.test(architecture ?? '') ? 'embed' : 'generate';
}

function shapeOf(
  found: Found,
  architecture: string,
  number: (key: string) => number | undefined,
): ModelShape | undefined {
  const [layers, width] = [number('block_count'), number('embedding_length')];
  const headList = found.lists.get(`${architecture}.attention.head_count`);
  const heads = number('attention.head_count') ?? Math.max(0, ...(headList ?? []));
  if (layers === undefined || width === undefined || heads === 0 || layers > 4096) return undefined;
  const keyValueList = found.lists.get(`${architecture}.attention.head_count_kv`);
  const keyValueHeads = number('attention.head_count_kv') ?? heads;
  const latent = number('attention.kv_lora_rank');
  const feedForward =
    number('feed_forward_length') ??
    Math.max(width * 4, ...(found.lists.get(`${architecture}.feed_forward_length`) ?? []));
  return {
    layers,
    width,
    heads,
    keyValueHeads: Array.from({ length: layers }, (_, layer) =>
      keyValueList === undefined ? keyValueHeads : (keyValueList[layer] ?? 0),
    ),
    keyLength: number('attention.key_length') ?? Math.floor(width / heads),
    valueLength: number('attention.value_length') ?? Math.floor(width / heads),
    feedForward,
    slidingWindow: number('attention.sliding_window'),
    latentLength:
      latent === undefined || latent === 0 ? undefined : latent + (number('rope.dimension_count') ?? 0),
  };
}

/** Source: llama.h, enum llama_ftype. */
const fileTypes: Readonly<Record<number, string>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  7: 'Q8_0',
  8: 'Q5_0',
  9: 'Q5_1',
  10: 'Q2_K',
  11: 'Q3_K_S',
  12: 'Q3_K_M',
  13: 'Q3_K_L',
  14: 'Q4_K_S',
  15: 'Q4_K_M',
  16: 'Q5_K_S',
  17: 'Q5_K_M',
  18: 'Q6_K',
  19: 'IQ2_XXS',
  20: 'IQ2_XS',
  21: 'Q2_K_S',
  22: 'IQ3_XS',
  23: 'IQ3_XXS',
  24: 'IQ1_S',
  25: 'IQ4_NL',
  26: 'IQ3_S',
  27: 'IQ3_M',
  28: 'IQ2_S',
  29: 'IQ2_M',
  30: 'IQ4_XS',
  31: 'IQ1_M',
  32: 'BF16',
  36: 'TQ1_0',
  37: 'TQ2_0',
  38: 'MXFP4',
};
