import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { constants } from 'node:fs';
import { HearthError } from '@hearth/protocol';
import { errorCode, StartupError } from '../../lock/startup-error.js';
import type { Message } from '../hub.js';
import { ShutdownFlushError } from './shutdown-flush-error.js';
import {
  type JournalHeader,
  journalEndSchema,
  journalHeaderSchema,
  type JournalMessage,
  journalMessageSchema,
  scanLines,
  toLine,
} from './journal-record.js';

/**
 * The messages of one durable channel, in two files of which the older one is dropped when the newer is full. A message
 * is there when its line is on the disk: who published it is told after that, and a crash loses nothing that anybody was
 * told of. A line that a crash tore is cut off at the next start.
 */

export interface JournalOptions {
  /** Paths without their ending: `.journal` and `.1.journal` are added. */
  readonly path: string;
  readonly channel: string;
  /** Most bytes of both files together. */
  readonly maxBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** What an earlier process left. */
export interface JournalRecovery {
  /** Bytes of a torn line that were cut off. */
  readonly cutBytes: number;
  /** The messages that are kept, oldest first; for whoever has to remember their keys. */
  readonly messages: readonly JournalMessage[];
}

/** One of the two files: what it holds and where. */
interface Segment {
  readonly path: string;
  readonly first: number;
  /** Where the messages lie, in order. */
  readonly offsets: number[];
  size: number;
}

interface Append {
  readonly message: Omit<Message, 'position'>;
  readonly id: string;
  readonly key: string | undefined;
  readonly resolve: (message: Message) => void;
  readonly reject: (error: unknown) => void;
}

/** Messages that are kept in memory for those who keep up. */
const mostCached = 256;
/** Bytes of them. */
const mostCachedBytes = 1_048_576;
/** Messages that go to the disk together. */
const mostTogether = 512;

export class Journal {
  readonly #options: JournalOptions;
  readonly #cache: Message[] = [];
  #cachedBytes = 0;
  #older: Segment | undefined;
  #live: Segment;
  #file: FileHandle;
  #queue: Append[] = [];
  #writing: Promise<void> | undefined;
  #next: number;
  #failure: unknown;

  private constructor(options: JournalOptions, file: FileHandle, live: Segment, older: Segment | undefined) {
    this.#options = options;
    this.#file = file;
    this.#live = live;
    this.#older = older;
    this.#next = live.first + live.offsets.length;
  }

  /**
   * Opens what is there, or begins anew.
   *
   * @throws StartupError `state_directory` where the files cannot be read or written, belong to another channel, or are
   *   damaged elsewhere than at their end.
   */
  static async open(options: JournalOptions): Promise<{ journal: Journal; recovery: JournalRecovery }> {
    try {
      const olderFile = await readSegment(`${options.path}.1.journal`, options.channel, false);
      const livePath = `${options.path}.journal`;
      const found = await readSegment(livePath, options.channel, true);
      const first = olderFile === undefined ? 1 : olderFile.segment.first + olderFile.segment.offsets.length;
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
      const file = await open(livePath, flags, 0o600);
      const live = found?.segment ?? (await begin(file, livePath, options.channel, first));
      if (found !== undefined) await file.truncate(found.segment.size);
      const messages = [...(olderFile?.messages ?? []), ...(found?.messages ?? [])];
      const journal = new Journal(options, file, live, olderFile?.segment);
      return { journal, recovery: { cutBytes: found?.cutBytes ?? 0, messages } };
    } catch (cause) {
      if (cause instanceof StartupError) throw cause;
      const code = errorCode(cause) ?? 'unknown error';
      throw new StartupError(
        'state_directory',
        `the journal of channel ${options.channel} in the state directory cannot be used (${code})`,
        { cause },
      );
    }
  }

  /** Position of the next message. */
  get next(): number {
    return this.#next;
  }

  /** Position of the oldest message that is kept; that of the next where there is none. */
  get oldest(): number {
    return this.#older?.first ?? this.#live.first;
  }

  /** Messages that wait for the disk. */
  get waiting(): number {
    return this.#queue.length;
  }

  /**
   * Adds a message. Resolves when it is on the disk.
   *
   * @throws HearthError `backend_unavailable` where it could not be written: then it is not in the journal.
   */
  append(message: Omit<Message, 'position'>, id: string, key?: string): Promise<Message> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ message, id, key, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  /** The messages from `position` on that are in memory; undefined where that one is not. */
  recent(position: number, most: number): readonly Message[] | undefined {
    const first = this.#cache[0]?.position;
    if (first === undefined || position < first) return undefined;
    return this.#cache.slice(position - first, position - first + most);
  }

  /** The messages from `position` on, at most so many; none where there is none yet or none any more. */
  async read(position: number, most: number): Promise<readonly Message[]> {
    const segment = this.#older !== undefined && position < this.#live.first ? this.#older : this.#live;
    const index = position - segment.first;
    const start = segment.offsets[index];
    if (start === undefined) return [];
    const end = segment.offsets[index + most] ?? segment.size;
    const file = segment === this.#live ? this.#file : await open(segment.path, constants.O_RDONLY);
    try {
      const bytes = Buffer.alloc(end - start);
      const { bytesRead } = await file.read(bytes, 0, bytes.length, start);
      return [...scanLines(bytes.subarray(0, bytesRead))].flatMap(({ json }) => {
        const message = readMessage(json);
        return message === undefined ? [] : [toMessage(message)];
      });
    } finally {
      if (file !== this.#file) await file.close();
    }
  }

  /**
   * Writes what waits and closes the file.
   *
   * @throws ShutdownFlushError where the last that was to be written could not be.
   */
  async close(): Promise<void> {
    try {
      await this.#writing;
      if (this.#failure !== undefined) throw toError(this.#failure);
      const line = toLine(JSON.stringify({ closed: true, next: this.#next }));
      await writeAll(this.#file, line, this.#live.size);
      await this.#file.datasync();
    } catch (cause) {
      throw new ShutdownFlushError([this.#options.channel], { cause });
    } finally {
      await this.#file.close();
    }
  }

  async #write(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue.slice(0, mostTogether);
      this.#queue = this.#queue.slice(mostTogether);
      try {
        const messages = await this.#writeTogether(batch);
        this.#failure = undefined;
        for (const [index, { resolve }] of batch.entries()) {
          const message = messages[index];
          if (message !== undefined) resolve(message);
        }
      } catch (cause) {
        this.#failure = cause;
        // What was half written would look like the work of a crash.
        await this.#file.truncate(this.#live.size).catch(() => undefined);
        const code = errorCode(cause) ?? 'unknown error';
        const text = `The message was not published: the journal of its channel cannot be written (${code}).`;
        for (const { reject } of batch) reject(new HearthError('backend_unavailable', text, { cause }));
      }
    }
    // In the same turn as the look at the queue: what is added after it begins anew.
    this.#writing = undefined;
  }

  async #writeTogether(batch: readonly Append[]): Promise<readonly Message[]> {
    const lines = batch.map(({ message, id, key }, index) => {
      const position = this.#next + index;
      const head = JSON.stringify({
        position,
        at: this.#options.now(),
        id,
        ...(key === undefined ? {} : { key }),
      });
      return toLine(`${head.slice(0, -1)},"body":${message.json}}`);
    });
    const size = lines.reduce((sum, line) => sum + line.length, 0);
    if (this.#live.size + size > this.#options.maxBytes / 2 && this.#live.offsets.length > 0)
      await this.#rotate();
    await writeAll(this.#file, Buffer.concat(lines), this.#live.size);
    await this.#file.datasync();
    for (const line of lines) {
      this.#live.offsets.push(this.#live.size);
      this.#live.size += line.length;
    }
    const messages = batch.map(({ message }, index) => ({ ...message, position: this.#next + index }));
    this.#next += batch.length;
    for (const message of messages) this.#remember(message);
    return messages;
  }

  async #rotate(): Promise<void> {
    const { path, channel } = this.#options;
    const [livePath, olderPath] = [`${path}.journal`, `${path}.1.journal`];
    await rename(livePath, olderPath);
    await this.#file.close();
    this.#older = { ...this.#live, path: olderPath };
    this.#file = await open(livePath, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    this.#live = await begin(this.#file, livePath, channel, this.#next);
  }

  #remember(message: Message): void {
    this.#cache.push(message);
    this.#cachedBytes += message.bytes;
    while (this.#cache.length > mostCached || this.#cachedBytes > mostCachedBytes) {
      const dropped = this.#cache.shift();
      this.#cachedBytes -= dropped?.bytes ?? 0;
    }
  }
}

async function begin(file: FileHandle, path: string, channel: string, first: number): Promise<Segment> {
  const header: JournalHeader = { format: 1, channel, first };
  const line = toLine(JSON.stringify(header));
  await file.truncate(0);
  await writeAll(file, line, 0);
  await file.datasync();
  return { path, first, offsets: [], size: line.length };
}

/** Writes all of it: a write to a disk that fills up may take a part and no more. */
async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

interface FoundSegment {
  readonly segment: Segment;
  readonly messages: readonly JournalMessage[];
  readonly cutBytes: number;
}

/** @param mayBeTorn whether it was being written when the last process ended */
async function readSegment(
  path: string,
  channel: string,
  mayBeTorn: boolean,
): Promise<FoundSegment | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const bytes = await file.readFile();
    const lines = [...scanLines(bytes)];
    const [headerLine, ...rest] = lines;
    const header = headerLine?.json === undefined ? undefined : parse(headerLine.json, journalHeaderSchema);
    if (header === undefined) {
      // Begun, and torn before its first message.
      if (mayBeTorn && rest.length === 0) {
        await rm(path);
        return undefined;
      }
      throw damaged(channel, 0);
    }
    if (header.channel !== channel) {
      throw new StartupError(
        'state_directory',
        `the journal of channel ${channel} belongs to another channel`,
      );
    }
    return readMessages(bytes, rest, header, path, { mayBeTorn, headerEnd: headerLine?.end ?? 0 });
  } finally {
    await file.close();
  }
}

function readMessages(
  bytes: Buffer,
  lines: readonly { readonly offset: number; readonly end: number; readonly json: string | undefined }[],
  { channel, first }: JournalHeader,
  path: string,
  { mayBeTorn, headerEnd }: { readonly mayBeTorn: boolean; readonly headerEnd: number },
): FoundSegment {
  const messages: JournalMessage[] = [];
  const offsets: number[] = [];
  let size = headerEnd;
  for (const [index, { offset, end, json }] of lines.entries()) {
    if (json !== undefined && parse(json, journalEndSchema) !== undefined) {
      // Goes on where an earlier process had closed it: the mark is overwritten.
      if (index === lines.length - 1) break;
      throw damaged(channel, offset);
    }
    const message = readMessage(json);
    if (message === undefined || message.position !== first + messages.length) {
      if (mayBeTorn && index === lines.length - 1) break;
      throw damaged(channel, offset);
    }
    messages.push(message);
    offsets.push(offset);
    size = end;
  }
  const last = lines.at(-1);
  const isClosed = last?.json !== undefined && parse(last.json, journalEndSchema) !== undefined;
  const cutBytes = isClosed && last.end === bytes.length ? 0 : bytes.length - size;
  if (cutBytes > 0 && !mayBeTorn) throw damaged(channel, size);
  return { segment: { path, first, offsets, size }, messages, cutBytes };
}

function damaged(channel: string, offset: number): StartupError {
  return new StartupError(
    'state_directory',
    `the journal of channel ${channel} is damaged at byte ${String(offset)}: restore it, or move it out of the state directory to begin anew`,
  );
}

function readMessage(json: string | undefined): JournalMessage | undefined {
  return json === undefined ? undefined : parse(json, journalMessageSchema);
}

function parse<T>(
  json: string,
  schema: { safeParse(value: unknown): { data?: T | undefined } },
): T | undefined {
  try {
    return schema.safeParse(JSON.parse(json)).data;
  } catch {
    return undefined;
  }
}

function toMessage({ body, position }: JournalMessage): Message {
  const json = JSON.stringify(body);
  return { json, bytes: Buffer.byteLength(json), position };
}

function toError(failure: unknown): Error {
  return failure instanceof Error ? failure : new Error('the journal could not be written');
}
