import { NotificationType, NotificationType0, ProgressType, RequestType, RequestType0 } from 'vscode-jsonrpc';
import type { ActivityRecord } from './activity.js';
import type { ErrorCode } from './errors.js';
import type { ToolCall } from './content.js';
import type { LoadPhase, StopReason, TokenLogprob, Usage } from './frames.js';
import type { GenerateRequestInput } from './request.js';

/**
 * What extension and sidecar say to each other beside LSP itself: one namespace a message, with its direction,
 * its literal method name, and its parameters and result beside it.
 */

/** State of one backend. `phase` and `progress` (0 to 1) speak of a load. */
export type BackendState =
  | { readonly kind: 'starting' }
  | { readonly kind: 'loading'; readonly phase: LoadPhase['phase']; readonly progress?: number }
  | { readonly kind: 'ready' }
  | {
      readonly kind: 'restarting';
      readonly attempt: number;
      readonly delayMs: number;
      readonly reason: string;
    }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly reason: string }
  | { readonly kind: 'stopped' };

/** One backend as health reports it. */
export interface BackendHealth {
  /** Name in frames and logs. */
  readonly name: string;
  readonly state: BackendState;
  readonly breaker: 'closed' | 'open' | 'half_open';
  /** Absent until the model is known. */
  readonly model?: ModelInfo;
  /** What requests it takes. Absent: from a daemon that does not say. */
  readonly abilities?: ModelAbilities;
  /** Process id of the worker, where there is one. */
  readonly workerPid?: number;
  /** Decode speed over the last finished generations, tokens a second; absent before the first. */
  readonly tokensPerSecond?: number;
}

/** What a loaded model can be asked for. */
export interface ModelAbilities {
  readonly generate: boolean;
  /** Whether calls of tools are held to the tools' schemas. */
  readonly tools: boolean;
  /** Whether it can look at images. */
  readonly vision: boolean;
  /** Whether what it thinks is told apart from what it answers. */
  readonly thinking: boolean;
  /** Whether it counts tokens: a service elsewhere does not. */
  readonly tokenize: boolean;
}

/** A loaded model, as it runs: real figures, not what its architecture could do. */
export interface ModelInfo {
  readonly id: string;
  readonly displayName: string;
  /** Tokens of context that one request can use, prompt and answer together. */
  readonly contextSize: number;
  readonly sizeBytes: number;
  /** Whether its vocabulary has fill-in-the-middle tokens. */
  readonly infill: boolean;
  /** Whether it has a chat template, so that it was tuned to converse. Absent: not known. */
  readonly chat?: boolean;
  /** Numbers of its vectors; only of a model that gives embeddings. */
  readonly dimensions?: number;
  /** What someone should know before expecting an assistant; absent where nothing need be said. */
  readonly caution?: string;
  /** What drives llama.cpp: `ffi`, its C interface, or `addon`, node-llama-cpp. Absent where it is not llama.cpp. */
  readonly driver?: 'ffi' | 'addon';
  /** Why it is not the C interface; holds no path. */
  readonly driverReason?: string;
  /**
   * How sure the model must be of ghost text, as its file says: at index n the least mean log-probability of the tokens
   * of an answer of n + 1 tokens; the last one holds for longer ones. Absent: it may say anything.
   */
  readonly confidence?: readonly number[];
  /** Threads that decode, as measured or configured. */
  readonly threads?: number;
  /**
   * Where that number comes from: measured at this load, measured while other work ran (so that it is measured again
   * at the next load), measured at a load before, said for this model, or no choice since the model is small.
   */
  readonly threadsFrom?: 'measured' | 'measured_busy' | 'remembered' | 'configured' | 'fixed';
  /** Tokens of a prompt that are evaluated at once where nobody else waits for a token. */
  readonly batch?: number;
  /** Where that number comes from, in the same words; `fixed`: no choice, with this driver or a model this small. */
  readonly batchFrom?: 'measured' | 'measured_busy' | 'remembered' | 'fixed';
  /** The smaller model that guesses ahead for it, or why there is none. Absent: none was configured. */
  readonly draft?: { readonly name: string } | { readonly problem: string };
  /** What computes. Absent where it is not llama.cpp. */
  readonly accelerator?: {
    readonly kind: 'cpu' | 'vulkan' | 'cuda' | 'metal';
    /** The graphics card, such as `NVIDIA GeForce RTX 4090`; absent on the processor. */
    readonly device?: string;
    /** Layers that the card takes, the output counted as one; absent on the processor. */
    readonly gpuLayers?: number;
    /** Which of the builds for processors is in use, such as `zen4`; absent where it is not known. */
    readonly cpuVariant?: string;
    /** Why it is not a graphics card, where one was asked for or is there; holds no path. */
    readonly reason?: string;
  };
}

/** The whole of the daemon at one moment. */
export interface Health {
  readonly state: 'starting' | 'loading' | 'ready' | 'failed' | 'draining';
  readonly version: string;
  readonly pid: number;
  readonly uptimeMs: number;
  /** What keeps it from serving, for the person at the editor; present only in state `failed`. */
  readonly problem?: string;
  /** Absent until the inference socket is bound. */
  readonly socketPath?: string;
  /** Where HTTP is served; absent where it is not. */
  readonly gateway?: {
    /** Such as `http://127.0.0.1:47322`. */
    readonly url: string;
    /** Holds the token that clients show; absent where it came from the environment. */
    readonly tokenFile?: string;
  };
  readonly adminSocketPath: string;
  readonly logPath: string;
  /** The system's code for why records do not reach the activity log; absent while they do. */
  readonly logProblem?: string;
  readonly backends: readonly BackendHealth[];
  readonly admission: {
    readonly activePermits: number;
    readonly permitsInUse: number;
    readonly queueDepth: number;
    readonly queued: number;
  };
}

/** A generation that is waiting or running. */
export interface StreamInfo {
  /** The daemon's own id, which {@link CancelStreamRequest} takes. */
  readonly streamId: string;
  /** For whom: the client's name, such as `vscode`, `ghost text`, `socket`. */
  readonly client: string;
  readonly stage: 'queued' | 'prefill' | 'decode';
  /** How far a long prompt has been read, from 0 to 1; absent: not known. */
  readonly progress?: number;
  readonly backend?: string;
  readonly startedAt: string;
  readonly tokens: number;
  /** Absent before the second token. */
  readonly tokensPerSecond?: number;
}

/** Client → server. The daemon's health, now. */
export namespace HealthRequest {
  export const method = 'hearth/health';
  export const type = new RequestType0<Health, ErrorData>(method);
}

/** Server → client. Sent after each change, at most ten times a second, to who subscribed to `health`. */
export namespace HealthChanged {
  export const method = 'hearth/healthChanged';
  export const type = new NotificationType<Health>(method);
}

/** Server → client. All streams, after a change, at most five times a second, to who subscribed to `streams`. */
export namespace StreamsChanged {
  export const method = 'hearth/streamsChanged';
  export const type = new NotificationType<{ readonly streams: readonly StreamInfo[] }>(method);
}

/** Server → client. New lines of the activity log, oldest first, to who subscribed to `activity`. */
export namespace ActivityAppended {
  export const method = 'hearth/activityAppended';
  export const type = new NotificationType<{ readonly records: readonly ActivityRecord[] }>(method);
}

/**
 * Client → server. From now on, send what happens on these channels. Each channel sends its present state at
 * once: health and streams as they are, activity its last 200 records, `ghost_text` nothing.
 */
export namespace SubscribeRequest {
  export type Channel = 'health' | 'streams' | 'activity' | 'ghost_text';
  export interface Params {
    readonly channels: readonly Channel[];
  }
  export const method = 'hearth/subscribe';
  export const type = new RequestType<Params, null, ErrorData>(method);
}

/**
 * Client → server. Generates text, calls of tools, and all else that a request of the inference socket can ask for but
 * `wire_version` and `dry_run`. Pieces travel as `$/progress` on `progressToken`; the answer comes when the
 * generation has ended. `$/cancelRequest` stops it, in the queue, in prefill and in decode, and then the
 * request fails with `RequestCancelled`.
 */
export namespace GenerateRequestMessage {
  export interface Params {
    readonly request: GenerateRequestInput;
    /** Who asks, as the Streams view shows it, such as `ask` or `chat`. */
    readonly client: string;
    readonly progressToken?: string | number;
  }
  /** A piece of the answer: one of text, thinking and a call; or news of the wait. What is not text has empty `content`. */
  export interface Progress {
    readonly content: string;
    /** Of the tokens that make up `content`; only where they were asked for. */
    readonly logprobs?: readonly TokenLogprob[];
    readonly thinking?: string;
    /** A whole call. */
    readonly toolCall?: ToolCall;
    /** What it waits for; before all else, and only where the request has `events`. */
    readonly stage?: Stage;
  }
  export type Stage =
    /** `position` requests go first. */
    | { readonly kind: 'queued'; readonly position: number }
    /** `progress`: from 0 to 1, where that is known. */
    | { readonly kind: 'loading'; readonly model: string; readonly progress?: number }
    /** `progress`: how far a long prompt has been read, from 0 to 1. */
    | { readonly kind: 'prefill'; readonly progress?: number };
  export interface Result {
    readonly content: string;
    /** With `cached_tokens` where they are known. */
    readonly usage: Usage;
    readonly stopReason: StopReason;
    /** Why it ended by itself, where it was not the model's end token. */
    readonly stopDetail?: 'stop_sequence' | 'tool_use';
    readonly backend: string;
    /** What the model thought before it answered; absent: nothing. */
    readonly thinking?: string;
    readonly toolCalls?: readonly ToolCall[];
    /** True where `tool_choice` asked for a call and none was made. */
    readonly toolChoiceUnsatisfied?: boolean;
    /** Of all tokens; only where they were asked for. */
    readonly logprobs?: readonly TokenLogprob[];
    readonly queueMs: number;
    readonly firstTokenMs?: number;
    readonly totalMs: number;
  }
  export const method = 'hearth/generate';
  export const type = new RequestType<Params, Result, ErrorData>(method);
  export const progress = new ProgressType<Progress>();
}

/** What a failed request carries as `data`: Hearth's own code beside JSON-RPC's. */
export interface ErrorData {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
}

/** JSON-RPC's code for any {@link ErrorData} failure that has none of its own (LSP `RequestFailed`). */
export const requestFailed = -32_803;

/** Client → server. Exact token counts from the loaded vocabulary, one a text. */
export namespace CountTokensRequest {
  export interface Params {
    readonly texts: readonly string[];
    readonly model?: string;
  }
  export const method = 'hearth/countTokens';
  export const type = new RequestType<Params, { readonly counts: readonly number[] }, ErrorData>(method);
}

/** Client → server. Ends a stream of any client; the owner sees `stop_reason: "cancelled"`. */
export namespace CancelStreamRequest {
  export const method = 'hearth/cancelStream';
  export const type = new RequestType<{ readonly streamId: string }, { readonly found: boolean }, ErrorData>(
    method,
  );
}

/** Which build is at the other end. Of two builds, the one with the higher version is newer, then the later made. */
export interface Build {
  /** Semantic version. */
  readonly version: string;
  /** When it was made: milliseconds since 1970. */
  readonly builtAt: number;
}

/**
 * Client → server, before anything else on a connection: who we are, and who are you? A relay asks, and then knows
 * whether it can be served by this daemon or had better ask it to hand over.
 */
export namespace HelloRequest {
  export interface Params {
    readonly wireVersion: number;
    readonly build: Build;
  }
  export interface Result {
    readonly wireVersion: number;
    readonly build: Build;
    readonly pid: number;
  }
  export const method = 'hearth/hello';
  export const type = new RequestType<Params, Result, void>(method);
}

/**
 * Client → server. Finish what runs, refuse what is new, and end; asking again hastens it. The answer comes when
 * the drain has begun; the end of the connection is the end of the daemon.
 */
export namespace DrainRequest {
  export const method = 'hearth/drain';
  export const type = new RequestType0<null, void>(method);
}

/** Server → client. The daemon is going away by intent: do not take the close for a crash. */
export namespace DrainingNotification {
  export const method = 'hearth/draining';
  export const type = new NotificationType0(method);
}
