import fs from 'node:fs';
import path from 'node:path';
import { type Frame, isObject } from './raw-client.js';
import { ceilingMs, until } from './wait.js';

/** A record of the activity log, unchecked beyond being a JSON object. */
export type LogRecord = Frame;

/** The activity log of a daemon, as a person would read it: from the file. */
export class ActivityLogFile {
  readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  /** The whole file as it is now; empty where it is missing. */
  text(): string {
    try {
      return fs.readFileSync(this.file, 'utf8');
    } catch {
      return '';
    }
  }

  /** Every complete line. @throws where one is not a JSON object. */
  records(): readonly LogRecord[] {
    return this.text()
      .split('\n')
      .slice(0, -1)
      .map((line) => {
        const value: unknown = JSON.parse(line);
        if (!isObject(value)) throw new Error(`a log line is not an object: ${line.slice(0, 200)}`);
        return value;
      });
  }

  /** The records with these fields. */
  matching(fields: LogRecord): readonly LogRecord[] {
    return this.records().filter((record) => matches(record, fields));
  }

  /** The `count`th record with these fields (the first by default), as soon as it is there. */
  async waitFor(fields: LogRecord, options: { count?: number; timeoutMs?: number } = {}): Promise<LogRecord> {
    const count = options.count ?? 1;
    const found = this.matching(fields)[count - 1];
    if (found !== undefined) return found;
    const directory = path.dirname(this.file);
    const changed = fs.existsSync(directory) ? fs.watch(directory, { persistent: false }) : undefined;
    try {
      return await until(
        () => this.matching(fields)[count - 1],
        () => `no log record ${JSON.stringify(fields)} × ${count}; the log ends: ${this.text().slice(-600)}`,
        options.timeoutMs ?? ceilingMs,
        changed,
      );
    } finally {
      changed?.close();
    }
  }
}

function matches(record: LogRecord, fields: LogRecord): boolean {
  return Object.entries(fields).every(([key, value]) => record[key] === value);
}

/** When a record was written, in milliseconds since 1970. */
export function timeOf(record: LogRecord): number {
  return Date.parse(String(record['t']));
}

/** Every file under `directories` with its bytes, for searches of what should be nowhere. */
export function everyFile(
  ...directories: readonly string[]
): readonly { readonly file: string; readonly bytes: Buffer }[] {
  return directories.flatMap((directory) => {
    if (!fs.existsSync(directory)) return [];
    return fs
      .readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .map((file) => ({ file, bytes: fs.readFileSync(file) }));
  });
}
