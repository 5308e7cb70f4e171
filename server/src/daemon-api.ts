import type { EventEmitter } from 'node:events';
import type {
  ActivityRecord,
  Build,
  GenerateRequest,
  Health,
  StopReason,
  StreamInfo,
  Usage,
} from '@hearth/protocol';

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

  /** Exact token counts from the loaded vocabulary, one a text. @throws HearthError `backend_unavailable`. */
  countTokens(texts: readonly string[], model?: string): Promise<readonly number[]>;

  /** Which build this is. */
  readonly build: Build;

  /** Begins to drain; called again, hastens it. */
  drain(): void;

  /** Cancels a stream by the daemon's own id. False where there is no such stream. */
  cancelStream(streamId: string): boolean;
}

/** Who asks, as health and the Streams view show it. */
export interface Caller {
  /** Such as `socket`, `tcp`, `ask`, `ghost text`. */
  readonly name: string;
  /** Whose fair share it counts against: one for each connected process. @default the name */
  readonly client?: string;
}

/** What becomes of a request. `queued` and `started` come only where the request asked for events. */
export type GenerationEvent =
  | {
      readonly kind: 'queued';
      /** Requests that go first. */
      readonly position: number;
      /** Estimate in milliseconds; undefined before anything was measured. */
      readonly expectedWaitMs: number | undefined;
    }
  | { readonly kind: 'started'; readonly backend: string }
  | { readonly kind: 'token'; readonly text: string }
  | {
      readonly kind: 'done';
      /** All `token` texts joined. */
      readonly text: string;
      readonly usage: Usage;
      readonly stopReason: StopReason;
      readonly backend: string;
      readonly queueMs: number;
      readonly firstTokenMs: number | undefined;
      readonly totalMs: number;
    };

/** Changes carry no payload where the getter beside them gives the present state: late readers miss nothing. */
export interface DaemonEvents {
  health: [];
  streams: [];
  activity: [record: ActivityRecord];
  draining: [];
}
