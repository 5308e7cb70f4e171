import type { CatalogueEntry } from './catalogue.js';

/** Context that figures about models are for where nobody asks for another, in tokens. */
export const usualContextTokens = 8192;

/** What this machine can do, measured. */
export interface MachineSpeed {
  /** Weights that a decode step of one token passes through in a second, in bytes. */
  readonly bytesPerSecond: number;
  /** Bytes that a model and its context may take. */
  readonly freeBytes: number;
  /** Names of models that are in memory already, and so need none. @default none */
  readonly loaded?: ReadonlySet<string>;
}

/** A model of the catalogue on this machine. */
export interface Recommendation {
  readonly entry: CatalogueEntry;
  /** With the context that {@link recommend} was asked for. */
  readonly memoryBytes: number;
  readonly fits: boolean;
  /** Estimate of tokens a second while it writes. */
  readonly tokensPerSecond: number;
  /** Whether that is a pleasure to use. */
  readonly isFastEnough: boolean;
  /** The one to take of its kind; at most one a kind. */
  readonly isBest: boolean;
}

/** Slower than this, a kind is no pleasure to use. Embedding and reranking read, they do not write. */
const leastTokensPerSecond: Readonly<Record<CatalogueEntry['kind'], number>> = {
  fim: 15,
  chat: 8,
  embed: 0,
  rerank: 0,
};
/** What the worker itself takes: its program and llama.cpp's scratch. */
const workerBytes = 300 * 1024 * 1024;

/**
 * Sets each model of the catalogue against this machine. Writing is bound by reading the weights once a token, so the
 * speed is what was measured of that, divided by the weights that work on a token. The best of a kind is the largest
 * that fits and is fast enough; where none is fast enough, the fastest that fits. One whose licence keeps it from being used
 * at work is never the best: most people have Hearth open there, and would not look.
 */
export function recommend(
  catalogue: readonly CatalogueEntry[],
  machine: MachineSpeed,
  contextTokens: number,
): readonly Recommendation[] {
  const all = catalogue.map((entry) => {
    const context = Math.min(contextTokens, entry.contextLength) * entry.keyValueBytesPerToken;
    const memoryBytes = entry.approximateBytes + context + workerBytes;
    const tokensPerSecond = machine.bytesPerSecond / (entry.approximateBytes * entry.activeShare);
    return {
      entry,
      memoryBytes,
      tokensPerSecond,
      isFastEnough: tokensPerSecond >= leastTokensPerSecond[entry.kind],
      fits: memoryBytes <= machine.freeBytes || machine.loaded?.has(entry.name) === true,
    };
  });
  const best = new Set(
    (['fim', 'chat', 'embed', 'rerank'] as const).map((kind) => {
      const fitting = all.filter(({ entry, fits }) => entry.kind === kind && fits && entry.commercialUse);
      const fast = fitting.filter(({ isFastEnough }) => isFastEnough);
      const bySize = fast.toSorted((one, other) => other.entry.parameters - one.entry.parameters);
      return bySize[0] ?? fitting.toSorted((one, other) => other.tokensPerSecond - one.tokensPerSecond)[0];
    }),
  );
  return all.map((one) => ({ ...one, isBest: best.has(one) }));
}
