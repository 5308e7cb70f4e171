import type { GenerationInput, ResolvedGeneration, TokenLogprob } from '@hearth/protocol';
import { type EngineChunk, EngineFailure, type EngineFailureKind } from '../engine.js';

/** A piece of a scripted answer. */
export type ScriptedPiece =
  | { readonly text: string }
  | { readonly thinking: string }
  /** How far the prompt has been read, from 0 to 1. No token of the answer. */
  | { readonly prefill: number }
  | { readonly tool_call: { readonly name: string; readonly arguments: Readonly<Record<string, unknown>> } }
  /** Arguments as the model wrote them, well-formed or not. */
  | { readonly raw_tool_call: { readonly name: string; readonly arguments: string } }
  | { readonly failure: EngineFailureKind };

/** An answer of the scripted mock: the first whose `when` fits is played. */
export interface ScriptedAnswer {
  /** Text that the last turn, or the prompt, must hold; undefined: any. */
  readonly when?: string | undefined;
  readonly pieces: readonly ScriptedPiece[];
  readonly stop_detail?: 'stop_sequence' | 'tool_use' | undefined;
  readonly prompt_tokens?: number | undefined;
  readonly cached_tokens?: number | undefined;
}

/** The answer that fits `input`; undefined: none does. */
export function chooseAnswer(
  script: readonly ScriptedAnswer[],
  input: GenerationInput,
): ScriptedAnswer | undefined {
  const said = lastSaid(input);
  return script.find(({ when }) => when === undefined || said.includes(when));
}

function lastSaid(input: GenerationInput): string {
  switch (input.kind) {
    case 'raw':
      return input.prompt;
    case 'infill':
      return input.prefix;
    case 'chat':
      return (input.messages.at(-1)?.content ?? [])
        .map((block) => (block.kind === 'text' || block.kind === 'tool_result' ? block.text : ''))
        .join('');
  }
}

/**
 * Plays `answer`. Log-probabilities, where they were asked for, are made up but stable.
 *
 * @throws EngineFailure for a `failure` piece.
 */
export function* playAnswer(
  answer: ScriptedAnswer,
  { sampling }: ResolvedGeneration,
): Generator<EngineChunk, void, void> {
  let count = 0;
  let calls = 0;
  for (const piece of answer.pieces) {
    if ('prefill' in piece) {
      yield { kind: 'prefill', progress: piece.prefill };
      continue;
    }
    if (count === sampling.maxTokens) break;
    count += 1;
    if ('failure' in piece) throw new EngineFailure(piece.failure, `mock failure: ${piece.failure}`);
    if ('thinking' in piece) yield { kind: 'thinking', text: piece.thinking };
    else if ('text' in piece) {
      const alternatives = sampling.logprobs;
      yield {
        kind: 'token',
        text: piece.text,
        ...(alternatives === undefined ? {} : { logprobs: [madeUp(count, piece.text, alternatives)] }),
      };
    } else {
      calls += 1;
      yield { kind: 'tool_call', call: { id: `call_${String(calls)}`, ...callOf(piece) } };
    }
  }
  const { stop_detail: given, prompt_tokens = 0, cached_tokens } = answer;
  const cut = count < answer.pieces.filter((piece) => !('prefill' in piece)).length;
  const stopDetail = given ?? (calls > 0 ? 'tool_use' : undefined);
  yield {
    kind: 'done',
    stopReason: cut ? 'length' : 'end',
    ...(cut || stopDetail === undefined ? {} : { stopDetail }),
    usage: {
      prompt_tokens,
      completion_tokens: count,
      ...(cached_tokens === undefined ? {} : { cached_tokens }),
    },
    timings: { prefillMs: 1, decodeMs: count },
  };
}

function callOf(piece: Extract<ScriptedPiece, { tool_call: unknown } | { raw_tool_call: unknown }>) {
  if ('raw_tool_call' in piece) return piece.raw_tool_call;
  return { name: piece.tool_call.name, arguments: JSON.stringify(piece.tool_call.arguments) };
}

function madeUp(token: number, text: string, alternatives: number): TokenLogprob {
  const others = Array.from({ length: alternatives }, (_, index) => ({
    token: token + index,
    text: index === 0 ? text : `other ${String(index)}`,
    logprob: -0.5 - index,
  }));
  return { token, text, logprob: -0.5, alternatives: others };
}
