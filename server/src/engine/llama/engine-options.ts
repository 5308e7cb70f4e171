import type { GgufFacts } from '../../models/gguf-check.js';
import type { KeyValueType } from '../../models/memory/key-value-type.js';
import type { ModelSource } from '../../models/model-source.js';
import type { RestartOptions } from '../../supervisor/restart-policy.js';
import type { ChosenDevice } from './device-choice.js';
import type { ThreadMemory } from './thread-memory.js';
import type { DriverName } from './worker/messages.js';
import type { StopTimes } from './worker-process.js';

/** What a `LlamaEngine` is made with. */
export interface LlamaEngineOptions {
  readonly source: ModelSource;
  /** How many generations can run at once; each has a context of its own. */
  readonly sequences: number;
  /** Tokens of context for each. Default: what the model was trained on, at most 8192. */
  readonly contextSize?: number;
  /** Default: `llama`. */
  readonly name?: string;
  /** The worker's bundle. Default: `engine-worker.mjs` beside this code or in `dist` above it. */
  readonly workerPath?: string;
  readonly restart?: Partial<RestartOptions>;
  /** Silence after which a worker with work counts as hung. Default: 10 000 ms. */
  readonly hangTimeoutMs?: number;
  readonly stopTimes?: StopTimes;
  /** Chooses what computes, before each load. Default: the processor. @throws an AbortError after its signal */
  readonly chooseDevice?: (signal: AbortSignal) => Promise<ChosenDevice>;
  /**
   * Chooses the tokens of context for each sequence, and the layers for a graphics card, when the file has been
   * checked. Default: those of the other options, and all layers.
   *
   * @throws HearthError `insufficient_memory` where it cannot be loaded
   */
  readonly planLoad?: (
    facts: GgufFacts,
    device: ChosenDevice,
    /** Of the model that guesses ahead. */
    draft: GgufFacts | undefined,
  ) => Promise<LoadPlan>;
  /** Says that the model is in use while a worker has it or loads it. Default: nobody is told. */
  readonly claim?: (source: ModelSource) => Promise<{ release(): void }>;
  /** Where links to and copies of a model file are made for its worker; see `openTrustedFile`. */
  readonly privateDirectory?: string;
  /** The driver to take and no other. Default: the C interface where it works, else node-llama-cpp. */
  readonly driver?: DriverName;
  /** Most bytes of saved states in the worker's memory. Default: 256 MiB. */
  readonly stateMemoryBytes?: number;
  /** Where states are kept on disk. Default: nowhere. */
  readonly stateDirectory?: string;
  /** Most bytes of states on disk. Default: 4 GiB. */
  readonly stateDiskBytes?: number;
  /** Guesses tokens ahead where that pays: from what stands before, or with {@link draftModel}. Default: `off`. */
  readonly drafts?: 'off' | 'lookup' | 'draft';
  /** A smaller model with the same vocabulary. Where it cannot be used the model works without, and says why. */
  readonly draftModel?: ModelSource | { readonly problem: string };
  /** Where it is kept how many threads are the fastest. Default: it is measured at each load. */
  readonly threadMemory?: ThreadMemory;
}

/** How a model is to be loaded. */
export interface LoadPlan {
  readonly contextSize: number;
  /** 0: the processor computes everything. */
  readonly gpuLayers: number;
  /** How keys and values are kept. @default f16 */
  readonly keyValueType?: KeyValueType;
}
