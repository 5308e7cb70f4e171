import { promises as fs } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import {
  ask,
  type AskOptions,
  discard,
  probe,
  promisedHash,
  readContentRange,
  SourceChanged,
  validatorOf,
  withRetries,
} from './ask-source.js';
import { diskFull, requireRoom, requireSize } from './disk-room.js';
import type { PartialFiles } from './partial.js';
import { bytesDone, cutIntoParts, type Part, type PartialState } from './partial.js';
import { PullError } from './pull-error.js';
import type { PullSource } from './pull-source.js';
import type { Answer } from './transport.js';

export interface DownloadOptions extends AskOptions {
  readonly source: Pick<PullSource, 'url' | 'shownUrl' | 'isHuggingFace'>;
  /**
   * A hash that the whole file is compared with afterwards. It names these very bytes better than what a server says
   * of them, so that servers without validators can be gone on with too. Absent: the server has to name them.
   */
  readonly pinned?: string;
  /** What the first bytes have to be. Absent: those of a GGUF file. */
  readonly begin?: FileBegin;
  readonly files: PartialFiles;
  readonly mostBytes: number;
  /** Connections at once. @default 4 */
  readonly parts?: number;
  /** Smallest part that is worth a connection of its own, in bytes. @default 16 MiB */
  readonly leastPartBytes?: number;
  /** Told as bytes reach the disk. `totalBytes` is null where the server does not say. */
  readonly onBytes: (downloadedBytes: number, totalBytes: number | null) => void;
}

/** How a kind of file begins, and what to say of another one. */
export interface FileBegin {
  readonly bytes: Buffer;
  readonly otherwise: string;
}

const ggufBegin: FileBegin = {
  bytes: Buffer.from('GGUF', 'latin1'),
  otherwise: 'The source sends no model, perhaps a web page. Check the address.',
};

export interface Downloaded {
  readonly totalBytes: number;
  /** SHA-256 that the server says the file has; only Hugging Face does. */
  readonly promisedSha256: string | undefined;
  /** Bytes that an earlier attempt had left. */
  readonly resumedBytes: number;
}

/** Bytes that count as progress: a server that gives one and hangs up is no better than one that gives none. */
const leastProgress = 64 * 1024;
/** State is written after so many bytes. */
const stateEveryBytes = 16 * 1024 * 1024;

/**
 * Fetches a file into `files.data`, in several parts at once where the server gives ranges of a file that it can name
 * by a validator. What an earlier attempt left is gone on with, if the server still has that very file. Aborting leaves
 * what there is, to be gone on with.
 *
 * A range is taken only where the answer says that it is that range of that file: bytes of two files are never put
 * together.
 *
 * @throws PullError; an AbortError after `signal`.
 */
export async function download(options: DownloadOptions): Promise<Downloaded> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await attemptDownload(options);
    } catch (error) {
      if (!(error instanceof SourceChanged)) throw error;
      await options.files.remove();
      if (attempt > 0) {
        throw new PullError(
          'bad_server',
          'The file at the source changes while it is fetched. Try again later.',
        );
      }
    }
  }
}

async function attemptDownload(options: DownloadOptions): Promise<Downloaded> {
  const { source, files, signal } = options;
  const first = await probe(options, source.url);
  const promisedSha256 = promisedHash(source, first);
  const range = first.status === 206 ? readContentRange(first) : undefined;
  const validator = options.pinned ?? validatorOf(first);
  if (range !== undefined) discard(first);
  if (range === undefined || validator === undefined) {
    const whole = range === undefined ? first : undefined;
    return { ...(await fetchWhole(options, whole)), promisedSha256, resumedBytes: 0 };
  }
  const { totalBytes } = range;
  requireSize(totalBytes, options.mostBytes);

  const earlier = await files.read(source.shownUrl, validator, totalBytes);
  const state: PartialState = earlier ?? {
    schema: 1,
    url: source.shownUrl,
    validator,
    totalBytes,
    parts: cutIntoParts(totalBytes, options.parts ?? 4, options.leastPartBytes ?? 16 * 1024 * 1024),
  };
  const resumedBytes = bytesDone(state);
  await requireRoom(files.data, totalBytes - resumedBytes);
  if (earlier === undefined) {
    await files.remove();
    await files.write(state);
  }
  const file = await fs.open(files.data, earlier === undefined ? 'w' : 'r+', 0o600);
  try {
    await fetchParts({ ...options, file, state });
    await file.sync();
  } catch (error) {
    if (!(error instanceof SourceChanged)) await saveState(file, files, state);
    signal.throwIfAborted();
    throw diskFull(error);
  } finally {
    await file.close();
  }
  await files.write(state);
  return { totalBytes, promisedSha256, resumedBytes };
}

interface PartsRun extends DownloadOptions {
  readonly file: FileHandle;
  readonly state: PartialState;
}

/** All parts side by side; the first that fails for good ends the others. */
async function fetchParts(run: PartsRun): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([run.signal, stop.signal]);
  let unsaved = 0;
  const onWritten = async (bytes: number): Promise<void> => {
    run.onBytes(bytesDone(run.state), run.state.totalBytes);
    unsaved += bytes;
    if (unsaved < stateEveryBytes) return;
    unsaved = 0;
    await saveState(run.file, run.files, run.state);
  };
  run.onBytes(bytesDone(run.state), run.state.totalBytes);
  const open = run.state.parts.filter(({ start, end, done }) => start + done < end);
  const outcomes = await Promise.allSettled(
    open.map(async (part) => {
      try {
        await fetchPart({ ...run, signal }, part, onWritten);
      } catch (error) {
        stop.abort();
        throw error;
      }
    }),
  );
  // The first failure is the reason; the others ended because of it.
  const reasons = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [outcome.reason as unknown] : [],
  );
  if (reasons.length > 0) throw reasons.find((reason) => !isAbort(reason)) ?? reasons[0];
}

async function fetchPart(
  run: PartsRun,
  part: Part,
  onWritten: (bytes: number) => Promise<void>,
): Promise<void> {
  const { source, state, signal } = run;
  let mark = 0;
  await withRetries(
    run,
    async () => {
      while (part.start + part.done < part.end) {
        const from = part.start + part.done;
        const answer = await ask(run, source.url, {
          range: `bytes=${String(from)}-${String(part.end - 1)}`,
          ...(run.pinned === undefined ? { 'if-range': state.validator } : {}),
        });
        await takeRange(run, answer, part, from, onWritten, signal);
      }
    },
    () => {
      const progressed = part.done - mark >= leastProgress;
      mark = part.done;
      return progressed;
    },
  );
}

/** Writes the body of one answer, after making sure that it is what was asked for. */
async function takeRange(
  { file, state, pinned, begin }: PartsRun,
  answer: Answer,
  part: Part,
  from: number,
  onWritten: (bytes: number) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  try {
    // The whole file in place of a range: the server has another one than the validator names.
    if (answer.status === 200 || answer.status === 416) throw new SourceChanged();
    const range = readContentRange(answer);
    if (range === undefined || range.start !== from || range.end >= part.end || range.end < from) {
      throw new PullError('bad_server', 'The server sends another part of the file than it was asked for.');
    }
    if (range.totalBytes !== state.totalBytes) throw new SourceChanged();
    const validator = validatorOf(answer);
    if (pinned === undefined && validator !== undefined && validator !== state.validator)
      throw new SourceChanged();
    let at = from;
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      signal.throwIfAborted();
      if (at + chunk.length > range.end + 1) {
        throw new PullError('bad_server', 'The server sends more than it said it would.');
      }
      if (at === 0) requireBegin(chunk, begin);
      await writeAll(file, chunk, at);
      at += chunk.length;
      part.done += chunk.length;
      await onWritten(chunk.length);
    }
    if (at <= range.end) throw new Error('the body ended early');
  } finally {
    discard(answer);
  }
}

/** One stream from the first byte, where there can be no ranges. It cannot be gone on with later. */
async function fetchWhole(
  options: DownloadOptions,
  first: Answer | undefined,
): Promise<{ readonly totalBytes: number }> {
  const { files, source, signal } = options;
  let next = first;
  return withRetries(options, async () => {
    const answer = next ?? (await ask(options, source.url, {}));
    next = undefined;
    try {
      const length = answer.header('content-length');
      const totalBytes = length === undefined ? null : Number(length);
      if (answer.status !== 200 || (totalBytes !== null && !Number.isSafeInteger(totalBytes))) {
        throw new PullError('bad_server', 'The server does not say what it sends.');
      }
      if (totalBytes !== null) requireSize(totalBytes, options.mostBytes);
      await files.remove();
      await requireRoom(files.data, totalBytes ?? 0);
      const file = await fs.open(files.data, 'w', 0o600);
      try {
        let at = 0;
        options.onBytes(0, totalBytes);
        for await (const chunk of answer.body as AsyncIterable<Buffer>) {
          signal.throwIfAborted();
          if (at === 0) requireBegin(chunk, options.begin);
          requireSize(at + chunk.length, Math.min(options.mostBytes, totalBytes ?? options.mostBytes));
          await writeAll(file, chunk, at);
          at += chunk.length;
          options.onBytes(at, totalBytes);
        }
        if (totalBytes !== null && at < totalBytes) throw new Error('the body ended early');
        await file.sync();
        return { totalBytes: at };
      } finally {
        await file.close();
      }
    } catch (error) {
      throw diskFull(error);
    } finally {
      discard(answer);
    }
  });
}

function requireBegin(chunk: Buffer, { bytes, otherwise }: FileBegin = ggufBegin): void {
  if (chunk.length < bytes.length || chunk.subarray(0, bytes.length).equals(bytes)) return;
  throw new PullError('wrong_content', otherwise);
}

/** What is on the disk is written down, so that it can be gone on with; a failure to do so loses only that. */
async function saveState(file: FileHandle, files: PartialFiles, state: PartialState): Promise<void> {
  const written = { ...state, parts: state.parts.map((part) => ({ ...part })) };
  await file
    .datasync()
    .then(() => files.write(written))
    .catch(() => undefined);
}

async function writeAll(file: FileHandle, chunk: Buffer, position: number): Promise<void> {
  for (let written = 0; written < chunk.length;) {
    const { bytesWritten } = await file.write(chunk, written, chunk.length - written, position + written);
    written += bytesWritten;
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
