import {
  type DoneFrame,
  type GenerateRequest,
  type Timings,
  type TokenLogprob,
  type ToolCall,
  usesAdditions,
} from '@hearth/protocol';
import type { GenerationEvent } from '../../daemon-api.js';

type Done = Extract<GenerationEvent, { kind: 'done' }>;

/**
 * The end of a generation. A request of version 1 that uses no addition gets the fields of version 1 and no others;
 * the rest comes where the request asked for what it speaks of.
 *
 * @param isStreamed whether the log-probabilities have gone out with the tokens
 */
export function toDoneFrame(request: GenerateRequest, done: Done, isStreamed: boolean): DoneFrame {
  const { thinking, toolCalls, logprobs, toolChoiceUnsatisfied, stopDetail } = done;
  const { prompt_tokens, completion_tokens } = done.usage;
  const asked = request.events === true;
  return {
    id: request.id,
    type: 'done',
    content: done.text,
    usage: asked ? done.usage : { prompt_tokens, completion_tokens },
    stop_reason: done.stopReason,
    backend: done.backend,
    ...(thinking === undefined || !usesAdditions(request) ? {} : { thinking }),
    ...(toolCalls === undefined || request.tools === undefined
      ? {}
      : { tool_calls: toolCalls.map(toWireCall) }),
    ...(toolChoiceUnsatisfied === true ? { tool_choice_unsatisfied: true } : {}),
    ...(stopDetail === undefined || !asked ? {} : { stop_detail: stopDetail }),
    ...(logprobs === undefined || isStreamed ? {} : { logprobs: logprobs.map(toWireLogprob) }),
    ...(asked ? { timings: toTimings(done) } : {}),
  };
}

/** A call as frames carry it. */
export function toWireCall({ id, name, arguments: text }: ToolCall) {
  return { tool_call_id: id, name, arguments: text };
}

function toTimings({ queueMs, firstTokenMs, totalMs, timings }: Done): Timings {
  return {
    queue_ms: queueMs,
    ...(firstTokenMs === undefined ? {} : { first_token_ms: firstTokenMs }),
    total_ms: totalMs,
    ...(timings?.prefillMs === undefined ? {} : { prefill_ms: timings.prefillMs }),
    ...(timings === undefined ? {} : { decode_ms: timings.decodeMs }),
    ...(timings?.draftTokens === undefined ? {} : { draft_tokens: timings.draftTokens }),
    ...(timings?.draftAccepted === undefined ? {} : { draft_accepted: timings.draftAccepted }),
  };
}

/** Arrays of a frame are its own. */
export function toWireLogprob({ alternatives, ...logprob }: TokenLogprob): TokenLogprob {
  return { ...logprob, alternatives: [...alternatives] };
}
