import type {
  ErrorCode,
  LoadPhase,
  ResolvedGeneration,
  StopReason,
  TokenLogprob,
  ToolCall,
  Usage,
} from '@hearth/protocol';
import type { GpuKind } from '../../../accelerators/kinds.js';
import type { KeyValueType } from '../../../models/memory/key-value-type.js';

/**
 * What the daemon and an engine worker say to each other over the worker's IPC channel. Ids of generations and
 * counts are chosen by the daemon and are unique for the life of a worker.
 */

/** What to load and how. Sent once, first. */
export interface LoadOrder {
  readonly path: string;
  readonly sequences: number;
  /** Tokens of context that each sequence is to have. */
  readonly contextSize: number;
  /** Threads to use; undefined: measure. */
  readonly threads: number | undefined;
  /** What was measured of this model and machine before, in place of measuring. Only without {@link threads}. */
  readonly measured?: ThreadChoice;
  /** Tokens of a prompt in one step; undefined: what was measured before, or is measured now. */
  readonly batch?: number;
  /** Longest entry of the vocabulary in bytes; bounds what a prompt of a given length can be. */
  readonly longestTokenBytes: number;
  /** The driver to take and no other; undefined: the C interface where it works. */
  readonly driver?: DriverName;
  /** The graphics card that computes; absent: the processor does. */
  readonly gpu?: GpuOrder;
  /** Where tokens are guessed ahead from: what stands before, or {@link draft}. Absent: they are not. */
  readonly drafts?: 'off' | 'lookup' | 'draft';
  /** The smaller model that guesses ahead. */
  readonly draft?: {
    readonly path: string;
    /** For people. */
    readonly name: string;
    /** Most threads that it is given; absent: as many as the model itself. */
    readonly threads?: number;
  };
  /** How keys and values of the context are kept; it has to fit the model's heads. @default f16 */
  readonly keyValueType?: KeyValueType;
  /** Where states of sequences are saved; absent: nowhere. */
  readonly states?: StatesOrder;
}

/** A build for a graphics card, and what of the model goes there. */
export interface GpuOrder {
  readonly kind: GpuKind;
  /** Where its libraries lie; absent: the package of this platform has them, as on Macs. */
  readonly folder?: string;
  /** Layers that the card takes, counted from the last; the output counts as one. */
  readonly layers: number;
}

/** Where and how much of the states of sequences is saved. */
export interface StatesOrder {
  /** Most bytes in memory; 0: none. */
  readonly memoryBytes: number;
  /** Absent: none on disk. */
  readonly disk?: { readonly directory: string; readonly bytes: number; readonly key: string };
}

export type ToWorker =
  | { readonly kind: 'load'; readonly order: LoadOrder }
  /** `credit`: how many chunks may be sent before the first {@link ToWorker} `credit`. */
  | {
      readonly kind: 'generate';
      readonly id: number;
      readonly request: ResolvedGeneration;
      readonly credit: number;
    }
  | { readonly kind: 'abort'; readonly id: number }
  | { readonly kind: 'credit'; readonly id: number; readonly amount: number }
  | { readonly kind: 'countTokens'; readonly id: number; readonly texts: readonly string[] }
  | { readonly kind: 'ask'; readonly id: number; readonly question: Question }
  | { readonly kind: 'ping' }
  | { readonly kind: 'shutdown' };

/** What is answered at once and whole. The daemon keeps each of them small; an `abort` ends it between two texts. */
export type Question =
  | { readonly kind: 'tokenize'; readonly text: string }
  | { readonly kind: 'detokenize'; readonly tokens: readonly number[] }
  | { readonly kind: 'render'; readonly request: ResolvedGeneration }
  | { readonly kind: 'embed'; readonly texts: readonly string[] }
  | { readonly kind: 'rank'; readonly query: string; readonly documents: readonly string[] };

/** `tokens` of vectors and scores: how many were read. */
export type QuestionAnswer =
  | { readonly kind: 'tokens'; readonly tokens: readonly number[] }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'prompt'; readonly text: string; readonly tokens: number; readonly grammar?: string }
  | { readonly kind: 'vectors'; readonly vectors: readonly Float32Array[]; readonly tokens: number }
  | { readonly kind: 'scores'; readonly scores: readonly number[]; readonly tokens: number }
  | { readonly kind: 'aborted' };

/** A piece of an answer. No text is empty. Each uses one credit. */
export type Piece =
  | { readonly kind: 'token'; readonly text: string; readonly logprobs?: readonly TokenLogprob[] }
  | { readonly kind: 'thinking'; readonly text: string }
  /** A whole call; its arguments are a JSON object. */
  | { readonly kind: 'tool_call'; readonly call: ToolCall };

/** How far a long prompt has been read, from 0 to 1; it comes before any {@link Piece}. Uses one credit, as they do. */
export interface PromptProgress {
  readonly kind: 'prefill';
  readonly progress: number;
}

/** How many threads decode, and why. */
export interface ThreadChoice {
  /** With which a step of one sequence was fastest. */
  readonly threads: number;
  /** Milliseconds of such a step with one thread. */
  readonly narrowMs: number;
  /** The same with the best number above one. */
  readonly wideMs: number;
  /** Tokens of a prompt in one step. Absent: not measured, or not while it was quiet. */
  readonly batch?: number;
}

/** How many tokens of a prompt go in one step where nobody decodes, and why. */
export interface BatchChoice {
  readonly tokens: number;
  /** `fixed`: no choice, with this driver, or a model this small, or one so slow that trying takes too long. */
  readonly from: 'measured' | 'measured_busy' | 'remembered' | 'fixed';
}

/** The model as it runs. */
export interface LoadedInfo {
  readonly contextSize: number;
  readonly infill: boolean;
  readonly threads: number;
  /** How long a decode step takes. Absent: it was not measured. */
  readonly choice?: ThreadChoice;
  /** Where the choice comes from. Absent: it was ordered. */
  readonly choiceFrom?: 'measured' | 'measured_busy' | 'remembered';
  /** The smaller model that guesses ahead, or why there is none (no path in it). Absent: none was ordered. */
  readonly draft?: { readonly name: string } | { readonly problem: string };
  /** Absent: the model does not generate. */
  readonly batch?: BatchChoice;
  /** What drives llama.cpp: its C interface, or node-llama-cpp. */
  readonly driver: DriverName;
  /** Why it is not the main driver; holds no path. */
  readonly driverReason?: string;
  /** Which of the builds for processors is in use, such as `zen4`; absent where it is not known. */
  readonly cpuVariant?: string;
  /** The card that computes; absent: the processor does. */
  readonly gpu?: GpuInfo;
  /** Absent: it gives neither vectors nor scores. */
  readonly embedder?: EmbedderInfo;
  /** Whether it can call tools, and whether what it thinks is told apart. Absent: no. */
  readonly tools?: boolean;
  readonly thinking?: boolean;
}

/** A graphics card as it was found; of several that share the work, the first, and their memory together. */
export interface GpuInfo {
  readonly kind: GpuKind;
  /** Such as `NVIDIA GeForce RTX 4090`. */
  readonly device: string;
  readonly totalBytes: number;
  /** After the load. */
  readonly freeBytes: number;
}

/** What a model does beside generating, or in its place. */
export interface EmbedderInfo {
  /** Whether the model was trained for this and does not generate. */
  readonly only: boolean;
  /** Whether it gives vectors for texts, or scores for pairs of them. */
  readonly gives: 'vectors' | 'scores';
  /** Numbers of a vector; 1 of a score. */
  readonly dimensions: number;
  /** How the vectors of a text's tokens become one. */
  readonly pooling: 'mean' | 'first' | 'last' | 'rank';
  /** Most tokens of one text, or of one pair. */
  readonly contextSize: number;
}

export type DriverName = 'ffi' | 'addon';

/** Decoding alone: prefill and the first token are not in it. */
export interface DecodeTiming {
  readonly tokens: number;
  readonly milliseconds: number;
}

export interface GenerationResult {
  readonly stopReason: StopReason;
  /** With `cached_tokens` where that is known. */
  readonly usage: Usage;
  readonly decode: DecodeTiming;
  /** Why it ended by itself, where it was not the model's end token. */
  readonly stopDetail?: 'stop_sequence' | 'tool_use';
  /** Milliseconds in which the prompt was evaluated. */
  readonly prefillMs?: number;
  /** Only with speculative decoding: tokens predicted ahead, and how many of them were right. */
  readonly draft?: { readonly tokens: number; readonly accepted: number };
}

/** Why the worker refused or lost one generation or count. */
export interface RequestFailure {
  readonly kind:
    | 'invalid_request'
    | 'unsupported'
    | 'unavailable'
    | 'internal'
    | 'attachment_unsupported'
    | 'tool_call_malformed';
  /** Holds no content and no path. */
  readonly message: string;
}

/** Whether the native call in progress samples with grammars, and whether anyone still waits for one of those. */
export type StepGrammars = 'none' | 'wanted' | 'abandoned';

export type FromWorker =
  | {
      readonly kind: 'progress';
      readonly phase: Extract<LoadPhase['phase'], 'mmap'>;
      readonly progress: number;
    }
  | { readonly kind: 'progress'; readonly phase: Extract<LoadPhase['phase'], 'kv_cache'> }
  | { readonly kind: 'loaded'; readonly info: LoadedInfo }
  | {
      readonly kind: 'chunk';
      readonly id: number;
      readonly piece: Piece | PromptProgress;
      /** How many have been made so far. */
      readonly tokens: number;
    }
  | { readonly kind: 'done'; readonly id: number; readonly result: GenerationResult }
  | { readonly kind: 'counted'; readonly id: number; readonly counts: readonly number[] }
  | { readonly kind: 'answered'; readonly id: number; readonly answer: QuestionAnswer }
  | { readonly kind: 'failed'; readonly id: number; readonly failure: RequestFailure }
  /** `stepMs`: how long the native call in progress has taken so far; 0 where none is in progress. */
  | { readonly kind: 'pong'; readonly stepMs: number; readonly grammars: StepGrammars }
  /** Work that was given up still holds a core, and nothing else is to be done: another worker is to take over. */
  | { readonly kind: 'spent' }
  /** The model cannot be served; the worker ends. */
  | { readonly kind: 'fatal'; readonly code: ErrorCode; readonly message: string };

const toWorkerKinds: ReadonlySet<unknown> = new Set<ToWorker['kind']>([
  'load',
  'generate',
  'abort',
  'credit',
  'countTokens',
  'ask',
  'ping',
  'shutdown',
]);
const fromWorkerKinds: ReadonlySet<unknown> = new Set<FromWorker['kind']>([
  'progress',
  'loaded',
  'chunk',
  'done',
  'counted',
  'answered',
  'failed',
  'pong',
  'fatal',
  'spent',
]);

/** Whether a value from the channel is one of ours. Both ends are one build, so the kind decides. */
export function isToWorker(value: unknown): value is ToWorker {
  return hasKind(value, toWorkerKinds);
}

/** Whether a value from the channel is one of ours. Both ends are one build, so the kind decides. */
export function isFromWorker(value: unknown): value is FromWorker {
  return hasKind(value, fromWorkerKinds);
}

function hasKind(value: unknown, kinds: ReadonlySet<unknown>): boolean {
  return typeof value === 'object' && value !== null && 'kind' in value && kinds.has(value.kind);
}
