import type { EventEmitter } from 'node:events';
import type {
  BackendState,
  LoadPhase,
  ModelInfo,
  ResolvedGeneration,
  StopReason,
  TokenLogprob,
  ToolCall,
  Usage,
} from '@hearth/protocol';

import type { EmbedInput, Embeddings, EngineCapabilities, Rendered, Scores } from './encoding.js';

/**
 * The Engine port: what the router needs of anything that can generate text.
 *
 * An engine has one life: made, {@link Engine.start started}, {@link Engine.stop stopped}. In between it moves
 * through {@link BackendState} and says so with a `state` event; a restart after a crash is its own business.
 */
export interface Engine {
  /** Name in frames, logs and metrics. Unique in a daemon. */
  readonly name: string;
  readonly state: BackendState;
  /** The loaded model; undefined until it is known. */
  readonly model: ModelInfo | undefined;
  /** What it can do; of an engine that has not loaded its model yet, what it is likely to. */
  readonly capabilities: EngineCapabilities;
  readonly accelerator: 'cpu' | 'cuda' | 'metal' | 'vulkan' | 'rocm';
  readonly gpuLayers: number;
  /** The graphics card; absent where none is in use. */
  readonly device?: { readonly name: string; readonly totalBytes: number } | undefined;
  /** Process id of the worker, where there is one. */
  readonly workerPid: number | undefined;
  /** Decode speed over the last finished generations, tokens a second; undefined before the first. */
  readonly tokensPerSecond: number | undefined;
  readonly events: EventEmitter<EngineEvents>;

  /** Begins to load. Progress and the outcome come as `state` events; calling it twice does nothing. */
  start(): void;

  /**
   * Generates. Yields `token` chunks as they are made, at the consumer's pace, and then exactly one `done`.
   * A sequence that ends without `done` is a mid-stream failure (row 21).
   *
   * Aborting `signal` ends the work within one micro-batch, during prefill too, and then the iteration ends
   * with `done` and stop reason `cancelled`. Ending the iteration early (`return`) does the same.
   *
   * @throws EngineFailure before the first chunk where the engine cannot serve (row 22), or after it where the
   *   worker died.
   */
  generate(request: ResolvedGeneration, signal: AbortSignal): AsyncIterable<EngineChunk>;

  /** Exact token counts, one a text. @throws EngineFailure `not_ready` while no model is loaded. */
  countTokens(texts: readonly string[]): Promise<readonly number[]>;

  /**
   * Vectors for texts. This and the four that follow reject with the signal's reason once it is aborted, within one
   * text; they take their turn beside running generations.
   *
   * @throws EngineFailure `embed_unsupported` where the model gives none, `invalid_request` where a text is too long.
   */
  embed(input: EmbedInput, signal: AbortSignal): Promise<Embeddings>;

  /** How well each document answers the query. @throws EngineFailure `rerank_unsupported`, `invalid_request`. */
  rerank(query: string, documents: readonly string[], signal: AbortSignal): Promise<Scores>;

  /** Tokens of `text`, without begin and end; marks of control tokens in it have no power. @throws EngineFailure */
  tokenize(text: string, signal: AbortSignal): Promise<readonly number[]>;

  /** Text of `tokens`. @throws EngineFailure `invalid_request` for one that the vocabulary lacks. */
  detokenize(tokens: readonly number[], signal: AbortSignal): Promise<string>;

  /** The prompt of `request`, which is not run. @throws EngineFailure as {@link generate} does. */
  render(request: ResolvedGeneration, signal: AbortSignal): Promise<Rendered>;

  /** Ends running generations, then the worker. Resolves when nothing of the engine is left. */
  stop(): Promise<void>;
}

export interface EngineEvents {
  state: [state: BackendState];
  /** Details of a load, for the admin socket. */
  phase: [phase: LoadPhase];
}

export type EngineChunk =
  /** `logprobs`, of the tokens that make up `text`: only where they were asked for. */
  | { readonly kind: 'token'; readonly text: string; readonly logprobs?: readonly TokenLogprob[] }
  | { readonly kind: 'thinking'; readonly text: string }
  /** A whole call: its arguments are a JSON object that fits the tool's schema. */
  | { readonly kind: 'tool_call'; readonly call: ToolCall }
  /** How far a long prompt has been read, from 0 to 1. Before the first token, and only where that takes long. */
  | { readonly kind: 'prefill'; readonly progress: number }
  /** The worker died, and the stream goes on from the last chunk. Only where `resume` was asked for. */
  | {
      readonly kind: 'resumed';
      /** Those that came before. */
      readonly completionTokens: number;
    }
  | {
      readonly kind: 'done';
      readonly stopReason: StopReason;
      readonly usage: Usage;
      /** Why it ended by itself, where it was not the model's end token. */
      readonly stopDetail?: 'stop_sequence' | 'tool_use';
      readonly timings?: EngineTimings;
    };

/** Where the time of a generation went. */
export interface EngineTimings {
  /** Milliseconds; cached tokens take none. */
  readonly prefillMs?: number;
  /** Milliseconds, from the first token to the last. */
  readonly decodeMs: number;
  /** Tokens predicted ahead, and how many were right; absent without speculative decoding. */
  readonly draftTokens?: number;
  readonly draftAccepted?: number;
}

/**
 * Why an engine could not serve. `invalid_request`, `unsupported` and `…_unsupported` are the client's doing (row 76);
 * so is `tool_call_malformed` as far as the backend's health goes: the model wrote a call that is none.
 */
export type EngineFailureKind = (typeof engineFailureKinds)[number];

export const engineFailureKinds = [
  'not_ready',
  'invalid_request',
  'unsupported',
  'attachment_unsupported',
  'embed_unsupported',
  'rerank_unsupported',
  'tool_call_malformed',
  'unavailable',
  'internal',
  'crashed',
  'hung',
] as const;

/** An engine's failure, before the router gives it a wire code. `message` holds no content and no path. */
export class EngineFailure extends Error {
  override readonly name = 'EngineFailure';
  readonly kind: EngineFailureKind;

  constructor(kind: EngineFailureKind, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.kind = kind;
  }
}

/** What an engine throws where it was asked for what its {@link EngineCapabilities} lack. */
export function cannot(what: 'generate' | 'embed' | 'rerank' | 'tokenize'): EngineFailure {
  const [kind, message] = refusals[what];
  return new EngineFailure(kind, message);
}

const refusals = {
  generate: [
    'unsupported',
    'This model does not generate text: it is made for embeddings or for ranking. Name another one with `model`.',
  ],
  embed: [
    'embed_unsupported',
    'This model gives no embeddings. Load one that is made for them, and name it.',
  ],
  rerank: [
    'rerank_unsupported',
    'This model does not rank documents. Load one that is made for it, and name it.',
  ],
  tokenize: ['unsupported', 'This backend is a remote service, whose vocabulary is not known here.'],
} as const satisfies Record<string, readonly [EngineFailureKind, string]>;
