import { promises as fs } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { PartialFiles } from './partial.js';
import { bytesDone, cutIntoParts, type Part, type PartialState } from './partial.js';
import { PullError } from './pull-error.js';
import type { PullSource } from './pull-source.js';
import type { Answer, Transport } from './transport.js';

export interface DownloadOptions {
  readonly source: Pick<PullSource, 'url' | 'shownUrl' | 'isHuggingFace'>;
  /**
   * A hash that the whole file is compared with afterwards. It names these very bytes better than what a server says
   * of them, so that servers without validators can be gone on with too. Absent: the server has to name them.
   */
  readonly pinned?: string;
  /** What the first bytes have to be. Absent: those of a GGUF file. */
  readonly begin?: FileBegin;
  readonly transport: Transport;
  readonly files: PartialFiles;
  readonly mostBytes: number;
  /** Connections at once. @default 4 */
  readonly parts?: number;
  /** Smallest part that is worth a connection of its own, in bytes. @default 16 MiB */
  readonly leastPartBytes?: number;
  /** First pause after a failure, doubled each time, in milliseconds. @default 500 */
  readonly pauseMs?: number;
  readonly signal: AbortSignal;
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

/** Failures in a row, without progress worth the name, after which a source counts as unreachable. */
const mostFailures = 6;
/** Bytes that count as progress: a server that gives one and hangs up is no better than one that gives none. */
const leastProgress = 64 * 1024;
/** State is written after so many bytes. */
const stateEveryBytes = 16 * 1024 * 1024;
/** Asks for the first byte, whose answer says how long the file is and whether there are ranges. */
const firstByte = { range: 'bytes=0-0' } as const;
/** Room that is left on the disk for everything else. */
const spareBytes = 64 * 1024 * 1024;

/** The file at the source is another one than when the download began. */
class SourceChanged extends Error {}

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

/**
 * How long the file at the source is, without fetching it; undefined: the server does not say.
 *
 * @throws what {@link download} does
 */
export async function askSize(
  options: Pick<DownloadOptions, 'source' | 'transport' | 'pauseMs' | 'signal'>,
): Promise<number | undefined> {
  const answer = await withRetries(options, async () => ask(options, options.source.url, firstByte));
  answer.body.on('error', () => undefined).destroy();
  if (answer.status === 206) return readContentRange(answer)?.totalBytes;
  const length = Number(answer.header('content-length') ?? Number.NaN);
  return answer.status === 200 && Number.isSafeInteger(length) ? length : undefined;
}

async function attemptDownload(options: DownloadOptions): Promise<Downloaded> {
  const { source, files, signal } = options;
  const probe = await withRetries(options, async () => ask(options, source.url, firstByte));
  const promisedSha256 = promisedHash(source, probe);
  const range = probe.status === 206 ? readContentRange(probe) : undefined;
  const validator = options.pinned ?? validatorOf(probe);
  if (range === undefined || validator === undefined) {
    if (range !== undefined) probe.body.on('error', () => undefined).destroy();
    const body = range === undefined ? probe : undefined;
    return { ...(await fetchWhole(options, body)), promisedSha256, resumedBytes: 0 };
  }
  probe.body.on('error', () => undefined).destroy();
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
    answer.body.on('error', () => undefined).destroy();
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
      answer.body.on('error', () => undefined).destroy();
    }
  });
}

/** A request whose answer is one of those that a download can go on with. */
async function ask(
  { transport, signal }: Pick<DownloadOptions, 'transport' | 'signal'>,
  url: URL,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const answer = await transport.get(url, headers, signal);
  if ([200, 206, 416].includes(answer.status)) return answer;
  answer.body.on('error', () => undefined).destroy();
  if (answer.status === 404 || answer.status === 410) {
    throw new PullError('not_found', 'The source has no such file. Check its name and revision.');
  }
  if (answer.status === 401 || answer.status === 403) {
    throw new PullError(
      'not_permitted',
      'The source wants a token for this file. Accept its terms there, then set HF_TOKEN, or name another variable with --token-env.',
    );
  }
  throw new Busy(answer.status, Number(answer.header('retry-after')));
}

/** The server says that it cannot now. */
class Busy extends Error {
  readonly retryAfterMs: number | undefined;

  constructor(status: number, seconds: number) {
    super(`the server answered ${String(status)}`);
    this.retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? Math.min(60, seconds) * 1000 : undefined;
  }
}

/** Tries again after failures of the connection, not after refusals, and not for ever. */
async function withRetries<T>(
  { signal, pauseMs = 500 }: Pick<DownloadOptions, 'signal' | 'pauseMs'>,
  attempt: () => Promise<T>,
  hasProgressed: () => boolean = () => false,
): Promise<T> {
  for (let failures = 0; ;) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof PullError || error instanceof SourceChanged) throw error;
      failures = hasProgressed() ? 1 : failures + 1;
      if (failures >= mostFailures) {
        throw new PullError(
          'unreachable',
          'The source cannot be reached, or breaks off again and again. What has come is kept; the same command goes on with it.',
          { cause: error },
        );
      }
      const pause = error instanceof Busy ? error.retryAfterMs : undefined;
      await delay(pause ?? pauseMs * 2 ** (failures - 1), undefined, { signal });
    }
  }
}

interface ContentRange {
  readonly start: number;
  /** The last byte, as in the header. */
  readonly end: number;
  readonly totalBytes: number;
}

function readContentRange(answer: Answer): ContentRange | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/u.exec(answer.header('content-range') ?? '');
  if (match === null) return undefined;
  const [start = 0, end = 0, totalBytes = 0] = match.slice(1).map(Number);
  return end < totalBytes ? { start, end, totalBytes } : undefined;
}

/** What names these very bytes: a strong ETag, or else the date of the last change. */
function validatorOf(answer: Answer): string | undefined {
  const etag = answer.header('etag');
  if (etag !== undefined && etag.startsWith('"')) return etag;
  return answer.header('last-modified');
}

/** Hugging Face says the SHA-256 of a large file in the answer that redirects to it. */
function promisedHash({ isHuggingFace }: DownloadOptions['source'], answer: Answer): string | undefined {
  if (!isHuggingFace) return undefined;
  return /^"?([0-9a-f]{64})"?$/iu.exec(answer.firstHeader('x-linked-etag') ?? '')?.[1]?.toLowerCase();
}

function requireBegin(chunk: Buffer, { bytes, otherwise }: FileBegin = ggufBegin): void {
  if (chunk.length < bytes.length || chunk.subarray(0, bytes.length).equals(bytes)) return;
  throw new PullError('wrong_content', otherwise);
}

/** @throws PullError `too_large` */
export function requireSize(bytes: number, most: number): void {
  if (bytes <= most) return;
  throw new PullError('too_large', `The file is larger than it may be (${formatBytes(most)}).`);
}

/** Makes sure that so many bytes have room beside `file`. @throws PullError `disk_full` */
export async function requireRoom(file: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await fs.statfs(path.dirname(file));
  if (bavail * bsize >= bytes + spareBytes) return;
  throw new PullError(
    'disk_full',
    `The disk has ${formatBytes(bavail * bsize)} free, and ${formatBytes(bytes + spareBytes)} are needed: ${formatBytes(bytes)} for what is ` +
      `fetched, and ${formatBytes(spareBytes)} for everything else. Make room, for example with \`hearth rm\`, or move the store with ` +
      'HEARTH_MODELS_HOME.',
  );
}

function diskFull(error: unknown): unknown {
  const isFull =
    error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
  if (!isFull) return error;
  return new PullError('disk_full', 'The disk is full. Make room, then give the same command again.', {
    cause: error,
  });
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

function formatBytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${String(Math.ceil(bytes / 1e6))} MB`;
}
