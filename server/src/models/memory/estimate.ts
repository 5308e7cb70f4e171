import type { GgufFacts, ModelShape } from '../gguf-facts.js';
import { keyValueBytes, type KeyValueType, keyValueTypeFor } from './key-value-type.js';

/** How a model is to run. */
export interface RunShape {
  /** Tokens of context of each sequence. */
  readonly contextSize: number;
  readonly sequences: number;
  /** How keys and values are kept, where the model's heads allow it. @default f16 */
  readonly keyValueType?: KeyValueType | undefined;
}

/** Memory of a loaded model in bytes, by what it is for. */
export interface MemoryEstimate {
  readonly weights: number;
  /** Keys and values of the whole context of all sequences. */
  readonly keyValue: number;
  /** What one step works with. */
  readonly compute: number;
  /** The worker's program, its libraries and the vocabulary. */
  readonly worker: number;
  readonly total: number;
}

const floatBytes = 4;
/** The mask of attention is of half floats too. */
const maskBytes = 2;
/** Tokens that one step takes at most. Default of llama.cpp, n_ubatch. */
const microBatch = 512;
/** Tokens of the longest text that vectors are made of. See the engine's `FfiEmbedder`. */
const mostEmbeddedTokens = 2048;
/** Measured: Node with llama.cpp's libraries, before any model. node-llama-cpp, the driver for exceptions, takes 30 MiB more. */
const workerBytes = 66 * 1024 * 1024;
/** Measured: each entry of the vocabulary, in llama.cpp's tables and in those of the worker. */
const tokenBytes = 300;

/**
 * Memory that the model takes once its whole context has been in use. For a model whose shape is not known, keys and
 * values count as those of a model of that many weights with grouped heads.
 */
export function estimateMemory(facts: GgufFacts, asked: RunShape): MemoryEstimate {
  const run = facts.purpose === 'generate' ? asked : embedderRun(asked);
  const tokens = roundUp(run.contextSize, 256) * run.sequences;
  const weights = facts.weightBytes;
  const worker = workerBytes + facts.vocabularySize * tokenBytes;
  if (facts.shape === undefined) {
    const keyValue = tokens * Math.ceil(weights / 40_000);
    const compute = Math.ceil(weights / 20);
    return { weights, keyValue, compute, worker, total: weights + keyValue + compute + worker };
  }
  const bytes = keyValueBytes[keyValueTypeFor(facts, run.keyValueType ?? 'f16')];
  const keyValue = Math.ceil(keyValueOf(facts.shape, facts.architecture, run, tokens) * bytes);
  const compute =
    facts.purpose === 'generate'
      ? computeOf(facts.shape, facts.vocabularySize, run, microBatch)
      : embedderCompute(facts, facts.shape, run);
  return { weights, keyValue, compute, worker, total: weights + keyValue + compute + worker };
}

/** A model that gives vectors or scores takes one text at a time, in half floats. */
function embedderRun({ contextSize }: RunShape): RunShape {
  return { contextSize: Math.min(contextSize, mostEmbeddedTokens), sequences: 1 };
}

/** Numbers that all layers keep. */
function keyValueOf(
  { keyValueHeads, keyLength, valueLength, slidingWindow, latentLength }: ModelShape,
  architecture: string | undefined,
  { contextSize, sequences }: RunShape,
  tokens: number,
): number {
  const period = windowPeriods[architecture ?? ''];
  const windowTokens =
    slidingWindow === undefined || slidingWindow === 0
      ? tokens
      : Math.min(roundUp(contextSize, 256), roundUp(slidingWindow + microBatch, 256)) * sequences;
  return keyValueHeads.reduce((sum, heads, layer) => {
    const hasWindow = period !== undefined && (layer + 1) % period !== 0;
    const each = latentLength ?? heads * (keyLength + valueLength);
    return sum + each * (hasWindow ? windowTokens : tokens);
  }, 0);
}

/** Of so many layers one looks back on everything, and the others on a window. Source: llama.cpp, llama-model.cpp. */
const windowPeriods: Readonly<Record<string, number>> = {
  gemma2: 2,
  gemma3: 6,
  gemma3n: 5,
  cohere2: 4,
  'gpt-oss': 2,
  llama4: 4,
};

/**
 * A text is one batch, and each of its tokens has an outcome: llama.cpp computes what would follow each of them, and has
 * room for all of that once more. Encoders have nothing that could follow.
 */
function embedderCompute(
  { architecture, vocabularySize }: GgufFacts,
  shape: ModelShape,
  run: RunShape,
): number {
  const logits = run.contextSize * vocabularySize * floatBytes;
  const work = computeOf(shape, 0, run, run.contextSize);
  const computed = /bert/u.test(architecture ?? '') ? 0 : logits;
  return Math.max(work, computed) + logits + run.contextSize * shape.width * floatBytes;
}

function computeOf(
  shape: ModelShape,
  vocabulary: number,
  { contextSize, sequences }: RunShape,
  mostAtOnce: number,
): number {
  const batch = Math.min(mostAtOnce, contextSize * sequences);
  const attention = shape.heads * (shape.keyLength + shape.valueLength);
  const activations = batch * (2 * shape.feedForward + 6 * shape.width + 2 * attention) * floatBytes;
  // The mask has a row for each token of the batch and a column for each of the context.
  const mask = batch * contextSize * sequences * maskBytes;
  const logits = (sequences + 1) * vocabulary * floatBytes;
  return activations + mask + logits;
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}
