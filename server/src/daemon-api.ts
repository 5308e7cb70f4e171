import type { EventEmitter } from 'node:events';
import type {
  ActivityRecord,
  BestModelRequest,
  Build,
  CatalogueModel,
  GenerateRequest,
  Health,
  ModelsRequest,
  PullModelRequest,
  StopReason,
  StreamInfo,
  TokenLogprob,
  ToolCall,
  TypedRequest,
  Usage,
} from '@hearth/protocol';
import type { Channels } from './channels/channels-port.js';
import type { Rendered } from './engine/encoding.js';
import type { EngineTimings } from './engine/engine.js';

/**
 * What endpoints may ask of the daemon: the port between bytes and work. An endpoint turns its bytes into these
 * calls and knows nothing else of the daemon.
 */
export interface DaemonApi {
  readonly events: EventEmitter<DaemonEvents>;
  health(): Health;
  /** Everything that waits or runs, oldest first. */
  streams(): readonly StreamInfo[];
  /** The last records of the activity log, oldest first; at most 200. */
  recentActivity(): readonly ActivityRecord[];

  /**
   * Admits, routes and runs one request. Yields what becomes of it while it waits, then `token` events at the consumer's pace and then exactly one
   * `done`. Aborting `signal`, or ending the iteration early, ends the work in whatever stage it is; the
   * iteration then ends with `done` and stop reason `cancelled`.
   *
   * @throws HearthError with the code that the client is to see: `queue_full` at once when admission is full,
   *   `backend_unavailable`, `invalid_request`, `draining` and so on.
   */
  generate(request: GenerateRequest, caller: Caller, signal: AbortSignal): AsyncIterable<GenerationEvent>;

  /**
   * Answers a typed request: vectors, a ranking, tokens or a text.
   *
   * @throws HearthError with the code that the client is to see; `cancelled` once `signal` is aborted.
   */
  answerTyped(request: TypedRequest, caller: Caller, signal: AbortSignal): Promise<TypedResult>;

  /** The prompt of a generation, which is not run. @throws HearthError as {@link answerTyped} does. */
  render(request: GenerateRequest, caller: Caller, signal: AbortSignal): Promise<Rendering>;

  /** Exact token counts from the loaded vocabulary, one a text. @throws HearthError `backend_unavailable`. */
  countTokens(texts: readonly string[], model?: string): Promise<readonly number[]>;

  /** What clients hear of the daemon and say to each other. */
  readonly channels: Channels;

  /** Which build this is. */
  readonly build: Build;

  /** Begins to drain; called again, hastens it. */
  drain(): void;

  /** Cancels a stream by the daemon's own id. False where there is no such stream. */
  cancelStream(streamId: string): boolean;

  /** Models that come and go; undefined: this daemon serves those that it was started with, and no other. */
  readonly models?: ModelsApi | undefined;
}

/** What may be asked about models. Each call throws HearthError with the code that the client is to see. */
export interface ModelsApi {
  /** Said whenever {@link list} would say something else. */
  readonly events: EventEmitter<{ change: [] }>;
  list(): Promise<ModelsRequest.Result>;
  /** Measures the machine first where nobody has; aborting `signal` ends the wait. */
  best(
    kind: CatalogueModel['kind'],
    onProgress: (progress: BestModelRequest.Progress) => void,
    signal: AbortSignal,
  ): Promise<BestModelRequest.Result>;
  /** Aborting `signal` keeps what has come; the same call goes on with it. */
  pull(
    params: Pick<PullModelRequest.Params, 'source' | 'name'>,
    onProgress: (progress: PullModelRequest.Progress) => void,
    signal: AbortSignal,
  ): Promise<PullModelRequest.Result>;
  /** Loads the model, and then has it serve whoever names none. Aborting `signal` ends the wait, not the load. */
  switchTo(
    name: string,
    onProgress: (phase: string, progress: number | undefined) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** Gives the bytes that were freed. */
  remove(name: string): Promise<number>;
}

/** Who asks, as health and the Streams view show it. */
export interface Caller {
  /** Such as `socket`, `tcp`, `ask`, `ghost text`. */
  readonly name: string;
  /** Whose fair share it counts against: one for each connected process. @default the name */
  readonly client?: string;
  /** Which way it came, for events and metrics: one of a closed set, such as `/v1/chat/completions`. @default generate */
  readonly route?: string;
}

/** What becomes of a request. `queued`, `loading`, `started` and `prefill` come only where the request asked for events. */
export type GenerationEvent =
  | {
      readonly kind: 'queued';
      /** Requests that go first. */
      readonly position: number;
      /** Estimate in milliseconds; undefined before anything was measured. */
      readonly expectedWaitMs: number | undefined;
    }
  /** The model that is to serve is being loaded. `progress`: from 0 to 1, where that is known. */
  | { readonly kind: 'loading'; readonly model: string; readonly progress?: number }
  | { readonly kind: 'started'; readonly backend: string }
  /** `progress`: how far a long prompt has been read, from 0 to 1. */
  | { readonly kind: 'prefill'; readonly backend: string; readonly progress: number }
  /** `logprobs`: only where they were asked for. */
  | { readonly kind: 'token'; readonly text: string; readonly logprobs?: readonly TokenLogprob[] }
  | { readonly kind: 'thinking'; readonly text: string }
  | { readonly kind: 'tool_call'; readonly call: ToolCall }
  /** The engine died, and the stream goes on where it was, behind so many tokens. */
  | { readonly kind: 'resumed'; readonly completionTokens: number }
  | {
      readonly kind: 'done';
      /** All `token` texts joined. */
      readonly text: string;
      /** All `thinking` texts joined; absent: none. */
      readonly thinking?: string;
      readonly toolCalls?: readonly ToolCall[];
      /** Of all tokens, where they were asked for. */
      readonly logprobs?: readonly TokenLogprob[];
      /** A call was asked for and none was made (row 33). */
      readonly toolChoiceUnsatisfied?: boolean;
      /** Why it ended by itself, where it was not the model's end token. */
      readonly stopDetail?: 'stop_sequence' | 'tool_use';
      readonly timings?: EngineTimings;
      readonly usage: Usage;
      readonly stopReason: StopReason;
      readonly backend: string;
      readonly queueMs: number;
      readonly firstTokenMs: number | undefined;
      readonly totalMs: number;
    };

/** Who served: the backend's name, and the model's id. */
interface Served {
  readonly backend: string;
  readonly model: string;
}

/** What a typed request is answered with. */
export type TypedResult = Served &
  (
    | {
        readonly kind: 'embeddings';
        /** One an input, in their order; of length 1. */
        readonly vectors: readonly (readonly number[])[];
        readonly inputTokens: number;
      }
    | {
        readonly kind: 'ranking';
        /** The best first. */
        readonly results: readonly { readonly index: number; readonly score: number }[];
        readonly inputTokens: number;
      }
    | { readonly kind: 'tokens'; readonly tokens: readonly number[] }
    | { readonly kind: 'text'; readonly content: string }
  );

/** A prompt as the model would get it. */
export type Rendering = Served & Rendered;

/** Changes carry no payload where the getter beside them gives the present state: late readers miss nothing. */
export interface DaemonEvents {
  health: [];
  streams: [];
  activity: [record: ActivityRecord];
  draining: [];
  connections: [];
}
