import { randomInt } from 'node:crypto';
import type { ResolvedGeneration } from '@hearth/protocol';
import { EngineFailure } from '../engine.js';
import type { EngineChunk } from '../engine.js';
import type { CountedChunk } from './resuming.js';
import type { GenerationResult, QuestionAnswer, RequestFailure } from './worker/messages.js';

/** What a worker says, as the Engine port says it. */

/** The chunks alone. */
export async function* chunksOf(
  counted: AsyncIterable<CountedChunk>,
): AsyncGenerator<EngineChunk, void, void> {
  for await (const { chunk } of counted) yield chunk;
}

/** `request` with a seed: made again, its answer is the same. */
export function withSeed(request: ResolvedGeneration): ResolvedGeneration {
  const { sampling } = request;
  return { ...request, sampling: { ...sampling, seed: sampling.seed ?? randomInt(largestSeed) } };
}

/** llama.cpp takes the largest 32-bit number to mean a random seed. */
const largestSeed = 0xff_ff_ff_ff;

/** The worker has answered another question. */
export function wrongAnswer(): EngineFailure {
  return new EngineFailure('internal', 'The engine gave a wrong answer.');
}

/** `answer`, which must be of this kind. @throws EngineFailure */
export function expectKind<Kind extends QuestionAnswer['kind']>(
  answer: QuestionAnswer,
  kind: Kind,
): Extract<QuestionAnswer, { kind: Kind }> {
  if (isOfKind(answer, kind)) return answer;
  throw wrongAnswer();
}

function isOfKind<Kind extends QuestionAnswer['kind']>(
  answer: QuestionAnswer,
  kind: Kind,
): answer is Extract<QuestionAnswer, { kind: Kind }> {
  return answer.kind === kind;
}

/** The end of a generation of which nothing came. */
export const cancelled: EngineChunk = {
  kind: 'done',
  stopReason: 'cancelled',
  usage: { prompt_tokens: 0, completion_tokens: 0 },
};

/** The end of a generation. */
export function endOf(result: GenerationResult, isAborted: boolean): EngineChunk {
  const { stopReason, usage, decode, stopDetail, prefillMs, draft } = result;
  return {
    kind: 'done',
    stopReason: isAborted ? 'cancelled' : stopReason,
    usage,
    ...(stopDetail === undefined || isAborted ? {} : { stopDetail }),
    timings: {
      decodeMs: decode.milliseconds,
      ...(prefillMs === undefined ? {} : { prefillMs }),
      ...(draft === undefined ? {} : { draftTokens: draft.tokens, draftAccepted: draft.accepted }),
    },
  };
}

export function toEngineFailure({ kind, message }: RequestFailure): EngineFailure {
  return new EngineFailure(kind, message);
}
