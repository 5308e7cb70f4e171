import type { Manifest } from '../store/manifest.js';
import type { ModelStore } from '../store/model-store.js';
import type { DownloadOptions } from './download.js';
import type { PullPolicy } from './pull-policy.js';
import type { PullSource } from './pull-source.js';

/** How far a pull has got. */
export type PullProgress =
  | {
      readonly phase: 'download';
      /** Of a model in several files: of all of them together, as is `totalBytes`. */
      readonly downloadedBytes: number;
      /** Null: the server does not say. */
      readonly totalBytes: number | null;
      readonly sourceUrl: string;
      /** Only of a model in several files: which of how many, from 1. */
      readonly part?: PullPart;
    }
  | {
      /** Of a model in several files these figures are of the file that is looked at. */
      readonly phase: 'verify';
      readonly hashedBytes: number;
      readonly totalBytes: number;
      readonly part?: PullPart;
    };

export interface PullPart {
  readonly index: number;
  readonly count: number;
}

export interface PullOptions {
  readonly store: ModelStore;
  readonly source: PullSource;
  /** Name in the store. @default made of the file's name */
  readonly name?: string | undefined;
  readonly displayName?: string | undefined;
  /** What the bytes have to hash to, and who says so; without it, what the server says, or nothing. */
  readonly expected?: { readonly sha256: string; readonly by: 'user' | 'catalogue' } | undefined;
  readonly token?: string | undefined;
  readonly policy?: PullPolicy;
  readonly signal: AbortSignal;
  /** Called for each step of 32 MiB, for each quarter of a second with news, and every five seconds without (row 53). */
  readonly onProgress?: (progress: PullProgress) => void;
  /** For tests: how a download goes about it. */
  readonly tuning?: Pick<DownloadOptions, 'parts' | 'leastPartBytes' | 'pauseMs'> & {
    readonly stallMs?: number;
  };
}

export interface Pulled {
  readonly manifest: Manifest;
  /** Bytes that an earlier attempt had left. */
  readonly resumedBytes: number;
  /** The store had it already, of this source; nothing was fetched. */
  readonly alreadyThere: boolean;
}
