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
  readonly accelerator: 'cpu' | 'cuda' | 'metal' | 'vulkan' | 'rocm';
  readonly gpuLayers: number;
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
export type EngineFailureKind =
  | 'not_ready'
  | 'invalid_request'
  | 'unsupported'
  | 'attachment_unsupported'
  | 'embed_unsupported'
  | 'rerank_unsupported'
  | 'tool_call_malformed'
  | 'unavailable'
  | 'internal'
  | 'crashed'
  | 'hung';

/** An engine's failure, before the router gives it a wire code. `message` holds no content and no path. */
export class EngineFailure extends Error {
  override readonly name = 'EngineFailure';
  readonly kind: EngineFailureKind;

  constructor(kind: EngineFailureKind, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.kind = kind;
  }
}
