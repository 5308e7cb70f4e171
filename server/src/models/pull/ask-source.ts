import { setTimeout as delay } from 'node:timers/promises';
import { PullError } from './pull-error.js';
import type { PullSource } from './pull-source.js';
import type { Answer, Transport } from './transport.js';

/** How a source is asked: again where it fails. */
export interface AskOptions {
  readonly transport: Transport;
  /** First pause after a failure, doubled each time, in milliseconds. @default 500 */
  readonly pauseMs?: number;
  readonly signal: AbortSignal;
}

/** Failures in a row, without progress worth the name, after which a source counts as unreachable. */
const mostFailures = 6;

/** The file at the source is another one than when the download began. */
export class SourceChanged extends Error {}

/**
 * One request, whose answer is one of those that a download can go on with (200, 206, 416).
 *
 * @throws PullError where the source refuses; an error to be tried again after otherwise
 */
export async function ask(
  { transport, signal }: Pick<AskOptions, 'transport' | 'signal'>,
  url: URL,
  headers: Readonly<Record<string, string>>,
): Promise<Answer> {
  const answer = await transport.get(url, headers, signal);
  if ([200, 206, 416].includes(answer.status)) return answer;
  discard(answer);
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

/**
 * Tries again after failures of the connection, not after refusals, and not for ever.
 *
 * @param hasProgressed whether something came since it was asked last: then failures are counted anew
 * @throws PullError; {@link SourceChanged}; an AbortError after the signal
 */
export async function withRetries<T>(
  { signal, pauseMs = 500 }: Pick<AskOptions, 'signal' | 'pauseMs'>,
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

/** Which bytes of how many an answer holds. */
export interface ContentRange {
  readonly start: number;
  /** The last byte, as in the header. */
  readonly end: number;
  readonly totalBytes: number;
}

export function readContentRange(answer: Answer): ContentRange | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/u.exec(answer.header('content-range') ?? '');
  if (match === null) return undefined;
  const [start = 0, end = 0, totalBytes = 0] = match.slice(1).map(Number);
  return end < totalBytes ? { start, end, totalBytes } : undefined;
}

/** What names these very bytes: a strong ETag, or else the date of the last change. */
export function validatorOf(answer: Answer): string | undefined {
  const etag = answer.header('etag');
  if (etag !== undefined && etag.startsWith('"')) return etag;
  return answer.header('last-modified');
}

/** Hugging Face says the SHA-256 of a large file in the answer that redirects to it. */
export function promisedHash(
  { isHuggingFace }: Pick<PullSource, 'isHuggingFace'>,
  answer: Answer,
): string | undefined {
  if (!isHuggingFace) return undefined;
  return /^"?([0-9a-f]{64})"?$/iu.exec(answer.firstHeader('x-linked-etag') ?? '')?.[1]?.toLowerCase();
}

/** Asks for the first byte: the answer says how long the file is, how it is named, and whether there are ranges. */
export function probe(options: AskOptions, url: URL): Promise<Answer> {
  return withRetries(options, async () => ask(options, url, { range: 'bytes=0-0' }));
}

/** Lets an answer go whose body nobody reads. */
export function discard({ body }: Answer): void {
  body.on('error', () => undefined).destroy();
}

/**
 * How long the file is, without fetching it; undefined: the server does not say.
 *
 * @throws PullError; an AbortError after the signal
 */
export async function askSize(options: AskOptions, url: URL): Promise<number | undefined> {
  const answer = await probe(options, url);
  discard(answer);
  if (answer.status === 206) return readContentRange(answer)?.totalBytes;
  const length = Number(answer.header('content-length') ?? Number.NaN);
  return answer.status === 200 && Number.isSafeInteger(length) ? length : undefined;
}
