import type { EngineChunk } from '../engine.js';
import { SentAnswer } from './sent-answer.js';

/** A chunk, and how many tokens had been made when it came. */
export interface CountedChunk {
  readonly chunk: EngineChunk;
  readonly tokens: number;
}

export interface ResumingParts {
  /** Generates from the beginning, on whatever worker is ready. Equal each time: greedy, or with a seed. */
  generate(): AsyncIterable<CountedChunk>;
  /** Whether a failure is the death of the worker, which another one may make good. */
  isDeath(error: unknown): boolean;
  /** Resolves with true once a worker is ready again, with false when there will be none or `signal` is aborted. */
  untilReady(signal: AbortSignal): Promise<boolean>;
}

/** Deaths in a row without a new token between them: such a request may be what kills the worker. */
const mostDeaths = 1;

/**
 * A stream that outlives its worker. After a death the answer is made again on the next worker; what the consumer has
 * already is checked against it, token for token, and left out, and so the stream goes on without a gap and without a
 * repetition.
 *
 * @throws what {@link ResumingParts.generate} threw, where there is no worker any more, where the request killed the
 *   next one too, or where the new answer is not the old one.
 */
export async function* resuming(
  parts: ResumingParts,
  signal: AbortSignal,
): AsyncGenerator<EngineChunk, void, void> {
  const sent = new SentAnswer();
  let tokens = 0;
  let deaths = 0;
  let lost: unknown;
  for (;;) {
    const replay = sent.replay();
    let isAnnounced = lost === undefined;
    let isOther = false;
    try {
      for await (const { chunk, tokens: count } of parts.generate()) {
        if (chunk.kind === 'done') {
          // It ended before it came to where it was.
          isOther = !replay.isOver && chunk.stopReason !== 'cancelled';
          if (isOther) throw lost;
          yield chunk;
          return;
        }
        if (chunk.kind === 'prefill') {
          // Of an answer that has begun nobody is told that its prompt is being read again.
          if (tokens === 0) yield chunk;
          continue;
        }
        const outcome = replay.take(chunk);
        isOther = outcome.kind === 'differs';
        if (outcome.kind === 'differs') throw lost;
        if (outcome.kind === 'known') continue;
        if (!isAnnounced) yield { kind: 'resumed', completionTokens: tokens };
        isAnnounced = true;
        sent.add(outcome.chunk);
        tokens = count;
        deaths = 0;
        yield outcome.chunk;
      }
      return;
    } catch (error) {
      if (!parts.isDeath(error) || isAborted(signal) || deaths === mostDeaths || isOther) throw error;
      deaths += 1;
      lost = error;
      if (await parts.untilReady(signal)) continue;
      if (!isAborted(signal)) throw error;
      const usage = { prompt_tokens: 0, completion_tokens: tokens };
      yield { kind: 'done', stopReason: 'cancelled', usage };
      return;
    }
  }
}

/** Asked anew each time: it changes while this waits. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
