import { EventEmitter } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import type { ActivityEvent, ActivityLevel, ActivityRecord } from '@hearth/protocol';
import { pino } from 'pino';
import { redactLine, redactValue } from './redact.js';
import { RotatingFile } from './rotating-file.js';

/**
 * What happened, for the person who wants to know: one JSON object a line in `hearth.ndjson`, the last records in
 * memory, and a `record` event each (rows 88 to 94). The type of {@link ActivityEvent} has no place for prompts,
 * generated text, paths or tool arguments.
 */
export interface ActivityLog {
  readonly events: EventEmitter<ActivityLogEvents>;
  /** Path of the live file; empty where there is none. For the person who wants to read it. */
  readonly path: string;
  /**
   * Notes what happened. Never throws and never waits; a record below the log's level is dropped.
   *
   * @param component the part that speaks, such as `daemon`, `router`, `ndjson`
   */
  record(level: ActivityLevel, component: string, event: ActivityEvent): void;
  /** The last records as they were written, redacted, oldest first; at most {@link recentCapacity}. */
  recent(count?: number): readonly ActivityRecord[];
  /** Records that did not reach the disk. */
  readonly lost: number;
  /** The system's code for why, such as `ENOSPC`; undefined while writing works. */
  readonly problem: string | undefined;
  /** Closes the file. Later records stay in memory. */
  close(): void;
}

export interface ActivityLogEvents {
  record: [record: ActivityRecord];
}

/** Records that are kept in memory. */
export const recentCapacity = 200;

/** Name of the live file in the log directory. */
export const activityLogFile = 'hearth.ndjson';

/** Longest request id in the log, in UTF-16 units. */
const maxRequestIdLength = 128;

export interface ActivityLogOptions {
  /** See {@link resolveLogDirectory}. */
  readonly directory: string;
  /** Least level that is kept. @default 'info' */
  readonly level?: ActivityLevel;
  /** Cap of one file in bytes. @default 16 MiB */
  readonly maxBytes?: number;
  /** @default the system's clock */
  readonly now?: () => Date;
}

/** The log directory (row 94): explicit, else `$HEARTH_LOG_DIR`, else `~/.hearth/logs`. Empty counts as unset. */
export function resolveLogDirectory(
  explicit: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  home: string = os.homedir(),
): string {
  for (const choice of [explicit, env['HEARTH_LOG_DIR']]) {
    if (choice !== undefined && choice !== '') return path.resolve(choice);
  }
  return path.join(home, '.hearth', 'logs');
}

/** The activity log in a directory, which is made at the first record. A disk that fails is counted, never thrown. */
export function createActivityLog(options: ActivityLogOptions): ActivityLog {
  const livePath = path.join(options.directory, activityLogFile);
  const file = new RotatingFile({
    path: livePath,
    ...(options.maxBytes === undefined ? {} : { maxBytes: options.maxBytes }),
  });
  return new PinoActivityLog(livePath, file, options);
}

/** A log that writes nothing to disk; it keeps its records and emits them as the real one does. For tests. */
export function createNullActivityLog(options: Pick<ActivityLogOptions, 'level' | 'now'> = {}): ActivityLog {
  const nowhere: Sink = { write: () => undefined, close: () => undefined, lost: 0, problem: undefined };
  return new PinoActivityLog('', nowhere, options);
}

const ranks: Readonly<Record<ActivityLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

type Sink = Pick<RotatingFile, 'write' | 'close' | 'lost' | 'problem'>;

class PinoActivityLog implements ActivityLog {
  readonly events = new EventEmitter<ActivityLogEvents>();
  readonly path: string;
  readonly #sink: Sink;
  readonly #least: ActivityLevel;
  readonly #now: () => Date;
  readonly #logger;
  readonly #last: ActivityRecord[] = [];

  constructor(path: string, sink: Sink, options: Pick<ActivityLogOptions, 'level' | 'now'>) {
    this.path = path;
    this.#sink = sink;
    this.#least = options.level ?? 'info';
    this.#now = options.now ?? (() => new Date());
    this.#logger = pino(
      // The time comes with the record, so that file, memory and event agree on it.
      { base: null, timestamp: false, level: this.#least, formatters: { level: (level) => ({ level }) } },
      { write: (line: string) => sink.write(redactLine(line)) },
    );
  }

  get lost(): number {
    return this.#sink.lost;
  }

  get problem(): string | undefined {
    return this.#sink.problem;
  }

  record(level: ActivityLevel, component: string, event: ActivityEvent): void {
    if (ranks[level] < ranks[this.#least]) return;
    const fields = redactEvent(event);
    const record: ActivityRecord = { t: this.#now().toISOString(), level, component, ...fields };
    this.#logger[level]({ t: record.t, component, ...fields });
    this.#last.push(record);
    if (this.#last.length > recentCapacity) this.#last.shift();
    try {
      this.events.emit('record', record);
    } catch {
      // A listener's fault is its own: whoever records must not fail for it.
    }
  }

  recent(count: number = recentCapacity): readonly ActivityRecord[] {
    return count <= 0 ? [] : this.#last.slice(-count);
  }

  close(): void {
    this.#sink.close();
  }
}

/**
 * Redacted before it is cut, so that no half of a secret slips through. A string stays a string and a number a
 * number: only texts change, and no name of a field in {@link ActivityEvent} announces a secret.
 */
function redactEvent(event: ActivityEvent): ActivityEvent {
  const redacted = redactValue(event) as ActivityEvent;
  if (!('req_id' in redacted) || redacted.req_id.length <= maxRequestIdLength) return redacted;
  return { ...redacted, req_id: redacted.req_id.slice(0, maxRequestIdLength) };
}
