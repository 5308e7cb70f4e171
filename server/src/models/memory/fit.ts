import { HearthError } from '@hearth/protocol';
import type { GgufFacts } from '../gguf-facts.js';
import { estimateMemory, type MemoryEstimate } from './estimate.js';
import type { FreeMemory } from './free-memory.js';
import type { KeyValueType } from './key-value-type.js';

/** What is asked of a model. */
export interface FitWish {
  /** Tokens of context of each sequence; undefined: to be chosen. */
  readonly contextSize: number | undefined;
  readonly sequences: number;
  /** @default f16 */
  readonly keyValueType?: KeyValueType | undefined;
}

/** How a model can run on this machine. */
export interface Fit {
  readonly contextSize: number;
  readonly estimate: MemoryEstimate;
}

/** Context that is chosen where nobody asks for another and there is room. */
export const usualContext = 8192;
/** Least context that a model is of use with. */
const leastContext = 512;
const step = 256;
/** Longer ones are chosen by themselves only where they take no more than this share of what is free. */
const generousShare = 0.25;
const generousContexts = [32_768, 16_384];
/** Left free for everything else: a twentieth, at most 512 MiB. */
const spareShare = 0.05;
const mostSpare = 512 * 1024 * 1024;

/**
 * Decides how a model is to run, before native code has seen it.
 *
 * @throws HearthError `insufficient_memory` with the figures, and with the largest context that would fit, if one does.
 */
export function fitModel(facts: GgufFacts, wish: FitWish, free: FreeMemory): Fit {
  const usable = free.bytes - Math.min(mostSpare, free.bytes * spareShare);
  const trained = facts.contextLength ?? usualContext;
  const at = (contextSize: number): Fit => ({
    contextSize,
    estimate: estimateMemory(facts, {
      contextSize,
      sequences: wish.sequences,
      keyValueType: wish.keyValueType,
    }),
  });
  const wanted = at(Math.min(trained, wish.contextSize ?? usualContext));
  if (wish.contextSize === undefined) {
    const generous = generousContexts.map((size) => at(Math.min(trained, size)));
    const found = generous.find(({ estimate }) => estimate.total <= usable * generousShare);
    if (found !== undefined && found.contextSize > wanted.contextSize) return found;
  }
  if (wanted.estimate.total <= usable) return wanted;
  const largest = largestContext(at, wanted.contextSize, usable);
  // Whoever asked for a size gets that size or an answer.
  if (largest !== undefined && wish.contextSize === undefined) return largest;
  throw insufficient(wanted, wish.sequences, free, largest);
}

function largestContext(at: (contextSize: number) => Fit, wanted: number, usable: number): Fit | undefined {
  let [low, high] = [0, Math.floor(wanted / step)];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (at(middle * step).estimate.total <= usable) low = middle;
    else high = middle - 1;
  }
  return low * step >= Math.min(leastContext, wanted) ? at(low * step) : undefined;
}

function insufficient(
  { contextSize, estimate }: Fit,
  sequences: number,
  free: FreeMemory,
  largest: Fit | undefined,
): HearthError {
  const context = sequences === 1 ? String(contextSize) : `${String(sequences)} × ${String(contextSize)}`;
  const where = free.limitedBy === 'container' ? 'this container may take' : 'is free';
  const way =
    largest === undefined
      ? 'Close something, or choose a smaller model: `hearth models recommend` says which fit.'
      : `The largest context that fits is ${String(largest.contextSize)}: give --context-size ${String(largest.contextSize)}.`;
  return new HearthError(
    'insufficient_memory',
    `This model needs about ${show(estimate.total)} with ${context} tokens of context (weights ${show(estimate.weights)}, ` +
      `context ${show(estimate.keyValue)}, work ${show(estimate.compute + estimate.worker)}), and ${show(free.bytes)} ${where}. ${way}`,
  );
}

function show(bytes: number): string {
  return bytes < 1024 ** 3
    ? `${String(Math.round(bytes / 1024 ** 2))} MiB`
    : `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
}
