import type { GgufFacts } from '../gguf-facts.js';
import { estimateMemory, type MemoryEstimate, type RunShape } from './estimate.js';
import { fitModel, type FitWish } from './fit.js';
import type { FreeMemory } from './free-memory.js';

/** Memory of a graphics card in bytes. */
export interface CardMemory {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

/** What is asked of a model, and of the card. */
export interface GpuFitWish extends FitWish {
  /** Layers for the card, the output counted as one; undefined: as many as fit. */
  readonly gpuLayers: number | undefined;
}

/** How a model can run on this machine with a card. */
export interface GpuFit {
  readonly contextSize: number;
  readonly gpuLayers: number;
  /** Bytes on the card. */
  readonly cardBytes: number;
  /** Bytes of the machine's own memory. */
  readonly hostBytes: number;
}

const mebibyte = 1024 * 1024;
/** What the driver keeps on the card for a program, whatever it computes. */
const driverBytes = 300 * mebibyte;
/** Left free for the screen and for others. */
const spareShare = 0.05;
/** Contexts that are chosen by themselves where everything is on the card, and the share that they may take of it. */
const generousContexts = [32_768, 16_384];
const generousShare = 0.5;

/**
 * Decides how a model is to run where a card computes: as many layers as the card has room for, counted from the last
 * as llama.cpp counts them, and what is left in the machine's own memory. Where the card takes everything and has room,
 * the context is longer.
 *
 * @throws HearthError `insufficient_memory` as {@link fitModel} does, where what is left does not fit the machine
 */
export function fitOnGpu(facts: GgufFacts, wish: GpuFitWish, free: FreeMemory, card: CardMemory): GpuFit {
  const usable = Math.max(0, card.freeBytes - Math.max(driverBytes, card.totalBytes * spareShare));
  const most = partsOf(facts).length;
  const runs = { sequences: wish.sequences, keyValueType: wish.keyValueType };
  if (wish.contextSize === undefined && wish.gpuLayers === undefined) {
    for (const size of generousContexts) {
      const run = { ...runs, contextSize: Math.min(size, facts.contextLength ?? 0) };
      const whole = split(facts, run, most);
      if (run.contextSize > 0 && whole.cardBytes <= usable * generousShare)
        return { contextSize: run.contextSize, ...whole };
    }
  }
  const layersAt = (run: RunShape): number =>
    Math.min(most, wish.gpuLayers ?? mostLayers(facts, run, usable));
  // What is on the card need not fit the machine: it is as if the machine had so much more.
  const relieved = (run: RunShape): FreeMemory => {
    const { hostBytes } = split(facts, run, layersAt(run));
    return { ...free, bytes: free.bytes + Math.max(0, estimateMemory(facts, run).total - hostBytes) };
  };
  const first = { ...runs, contextSize: wish.contextSize ?? usualContext(facts) };
  const contextSize = chooseContext(facts, wish, first.contextSize, relieved(first));
  const run = { ...runs, contextSize };
  return { contextSize, ...split(facts, run, layersAt(run)) };
}

/** What was asked for, or the usual one, or one so short that it fits. A longer one would take layers off the card. */
function chooseContext(facts: GgufFacts, wish: FitWish, usual: number, free: FreeMemory): number {
  try {
    return fitModel(facts, { ...wish, contextSize: usual }, free).contextSize;
  } catch {
    return fitModel(facts, wish, free).contextSize;
  }
}

function usualContext({ contextLength }: GgufFacts): number {
  return Math.min(8192, contextLength ?? 8192);
}

/** Most layers whose weights, keys and values and work the card has room for. */
function mostLayers(facts: GgufFacts, run: RunShape, usable: number): number {
  let [low, high] = [0, partsOf(facts).length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (split(facts, run, middle).cardBytes <= usable) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** What is where with so many layers on the card. */
function split(facts: GgufFacts, run: RunShape, gpuLayers: number): Omit<GpuFit, 'contextSize'> {
  const estimate = estimateMemory(facts, run);
  const parts = partsOf(facts);
  const onCard = gpuLayers === 0 ? [] : parts.slice(-gpuLayers);
  const weights = onCard.reduce((sum, part) => sum + part.weights, 0);
  const keyValue = Math.ceil(onCard.reduce((sum, part) => sum + part.keyValueShare, 0) * estimate.keyValue);
  const cardBytes = onCard.length === 0 ? 0 : weights + keyValue + estimate.compute;
  return { gpuLayers: onCard.length, cardBytes, hostBytes: hostBytes(estimate, weights, keyValue) };
}

function hostBytes({ total }: MemoryEstimate, weights: number, keyValue: number): number {
  return total - weights - keyValue;
}

/** The layers in order, and the output last. */
function partsOf(facts: GgufFacts): readonly { readonly weights: number; readonly keyValueShare: number }[] {
  const { shape, weightBytes, parameters, vocabularySize } = facts;
  // Without figures of its layers a model goes to the card whole or not at all.
  if (shape === undefined) return [{ weights: weightBytes, keyValueShare: 1 }];
  const perWeight = parameters === 0 ? 0 : weightBytes / parameters;
  const output = Math.min(weightBytes, Math.ceil(vocabularySize * shape.width * perWeight));
  const each = Math.ceil((weightBytes - output) / Math.max(1, shape.layers));
  const heads = shape.keyValueHeads.reduce((sum, count) => sum + count, 0);
  const layers = Array.from({ length: shape.layers }, (_, index) => ({
    weights: each,
    keyValueShare: heads === 0 ? 0 : (shape.keyValueHeads[index] ?? 0) / heads,
  }));
  return [...layers, { weights: output, keyValueShare: 0 }];
}
