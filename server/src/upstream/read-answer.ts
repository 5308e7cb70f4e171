import type { Upstream, UpstreamRequest } from './upstream.js';
import { UpstreamError, upstreamErrorOf } from './upstream-error.js';

/** An answer that was read to its end. */
export interface SmallAnswer {
  readonly status: number;
  readonly text: string;
}

/** The most that is read of an answer which is not passed on, in bytes. */
const answerBytes = 1024 * 1024;

/**
 * Asks and reads the answer to its end, at most 1 MiB of it.
 *
 * @param within Milliseconds for all of it.
 * @throws UpstreamError where there is no whole answer in time, or it is too long.
 */
export async function askSmall(
  upstream: Upstream,
  request: UpstreamRequest,
  within: number,
): Promise<SmallAnswer> {
  const late = AbortSignal.timeout(within);
  const signal = request.signal === undefined ? late : AbortSignal.any([request.signal, late]);
  try {
    const { status, body } = await upstream.ask({ ...request, signal });
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > answerBytes) throw new UpstreamError('broken');
      chunks.push(chunk);
    }
    return { status, text: Buffer.concat(chunks).toString('utf8') };
  } catch (error) {
    if (late.aborted) throw new UpstreamError('headers_timeout', { cause: error });
    throw upstreamErrorOf(error);
  }
}

/** The JSON value of an answer; undefined where it is none. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
