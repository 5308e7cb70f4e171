import { NotificationType0, ProgressType, RequestType, RequestType0 } from 'vscode-jsonrpc';
import type { ErrorData } from './messages.js';

/** What extension and sidecar say to each other of models: which there are, getting one, switching, removing. */

/** A model that is in the store, or that the daemon was started with. */
export interface ModelEntry {
  /** What requests name it by. */
  readonly name: string;
  readonly displayName: string;
  readonly sizeBytes: number;
  readonly state: 'absent' | 'loading' | 'ready' | 'unloading' | 'failed';
  /** Whether requests that name no model go to it. */
  readonly chosen: boolean;
  /** Whether it is in the store, and can be removed from it. */
  readonly stored: boolean;
  readonly purpose: 'generate' | 'embed' | 'rerank' | 'projector';
  readonly chatTemplate: boolean;
  readonly infill: boolean;
  readonly architecture?: string;
  readonly quantization?: string;
  readonly parameters?: number;
  readonly contextLength?: number;
}

/** A model that could be fetched. */
export interface CatalogueModel {
  /** What {@link PullModelRequest} takes. */
  readonly name: string;
  readonly displayName: string;
  readonly kind: 'fim' | 'chat' | 'embed' | 'rerank';
  readonly approximateBytes: number;
  readonly parameters: number;
  readonly quantization: string;
  readonly license: string;
  readonly note: string;
  /** Estimate with 8192 tokens of context. */
  readonly memoryBytes: number;
  /** Whether that much memory is free now. */
  readonly fits: boolean;
  readonly stored: boolean;
}

/** Client → server. The models that there are, and those that could be fetched. */
export namespace ModelsRequest {
  export interface Result {
    readonly models: readonly ModelEntry[];
    readonly catalogue: readonly CatalogueModel[];
    readonly freeBytes: number;
  }
  export const method = 'hearth/models';
  export const type = new RequestType0<Result, ErrorData>(method);
}

/** What one model of the catalogue would be on this machine. */
export interface BestModel extends CatalogueModel {
  /** Bytes that are not there yet; 0 where it is stored. */
  readonly fetchBytes: number;
  /** Estimate for the processor, while it writes. */
  readonly tokensPerSecond: number;
  /** False: it is the fastest that fits, and still slow to work with. */
  readonly isFastEnough: boolean;
  /** Whether requests that name no model go to it already. */
  readonly chosen: boolean;
}

/**
 * Client → server. The best model of the catalogue for this machine, by what the machine was measured to do. Where nobody
 * has measured it yet that is done first, for a few seconds and once for all who ask meanwhile; `$/cancelRequest` ends the
 * wait, and the measuring where nobody else waits. Nothing is fetched or switched.
 */
export namespace BestModelRequest {
  export interface Params {
    /**
     * What it is for. @default fim: ghost text is what one meets at each key, and a model that fills in the middle of code
     * answers questions about it too, whereas one that was made to converse gives no ghost text.
     */
    readonly kind?: CatalogueModel['kind'];
    readonly progressToken?: string | number;
  }
  /** What measuring is at: a made-up model is written, loaded, timed. */
  export interface Progress {
    readonly phase: 'prepare' | 'load' | 'time';
  }
  /** What the choice was made by. */
  export interface Machine {
    /** Weights that the processor passes through, in a second. */
    readonly bytesPerSecond: number;
    /** When that was measured, ISO 8601. */
    readonly measuredAt: string;
    /** Memory that is free now. */
    readonly freeBytes: number;
    readonly limitedBy: 'machine' | 'container';
    /** Context that memory is counted with. */
    readonly contextTokens: number;
  }
  export type Result =
    | { readonly kind: 'found'; readonly model: BestModel; readonly machine: Machine }
    /** Nothing of that kind fits into the memory that is free. */
    | {
        readonly kind: 'nothing_fits';
        /** What would need least; absent where the catalogue has none of that kind. */
        readonly smallest?: CatalogueModel;
        readonly machine: Machine;
      };
  export const method = 'hearth/bestModel';
  export const type = new RequestType<Params, Result, ErrorData>(method);
  export const progress = new ProgressType<Progress>();
}

/** Server → client. What {@link ModelsRequest} says has changed. Sent to who has asked for it once. */
export namespace ModelsChanged {
  export const method = 'hearth/modelsChanged';
  export const type = new NotificationType0(method);
}

/**
 * Client → server. Fetches a model into the store: one of the catalogue by its name, `hf:owner/repository/file.gguf`, or
 * an https address of an allowed host. `$/cancelRequest` stops it and keeps what has come; the same request goes on.
 */
export namespace PullModelRequest {
  export interface Params {
    readonly source: string;
    /** Name in the store; absent: the catalogue's, or made of the file's. */
    readonly name?: string;
    readonly progressToken?: string | number;
  }
  export interface Progress {
    readonly phase: 'download' | 'verify';
    readonly doneBytes: number;
    /** Null: not known. */
    readonly totalBytes: number | null;
  }
  export interface Result {
    readonly name: string;
    readonly sizeBytes: number;
    /** What an earlier attempt had left. */
    readonly resumedBytes: number;
    readonly alreadyThere: boolean;
  }
  export const method = 'hearth/pullModel';
  export const type = new RequestType<Params, Result, ErrorData>(method);
  export const progress = new ProgressType<Progress>();
}

/**
 * Client → server. From now on, requests that name no model go to this one. It is loaded first: the answer comes when
 * it can serve, and until then nothing changes. A later daemon that is started without a model switches to it again.
 * What `$/cancelRequest` ends is the wait, not the load.
 */
export namespace SwitchModelRequest {
  export interface Params {
    readonly name: string;
    readonly progressToken?: string | number;
  }
  export interface Progress {
    readonly phase: string;
    /** From 0 to 1, where it is known. */
    readonly progress?: number;
  }
  export const method = 'hearth/switchModel';
  export const type = new RequestType<Params, { readonly name: string }, ErrorData>(method);
  export const progress = new ProgressType<Progress>();
}

/** Client → server. Removes a model that nobody uses from the store. */
export namespace RemoveModelRequest {
  export const method = 'hearth/removeModel';
  export const type = new RequestType<{ readonly name: string }, { readonly freedBytes: number }, ErrorData>(
    method,
  );
}
