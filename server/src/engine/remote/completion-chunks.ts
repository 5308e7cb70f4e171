import type { StopReason, ToolCall, Usage } from '@hearth/protocol';
import { z } from 'zod';
import { EngineFailure } from '../engine.js';

/**
 * What the events of a completion stream mean: of `/v1/chat/completions`, where text is `delta.content`, and of
 * `/v1/completions`, where it is `text`. Reasoning comes as `reasoning_content` (DeepSeek, llama.cpp, vLLM) or
 * `reasoning`.
 */

const count = z.int().min(0).max(4_294_967_295);

const callPieceSchema = z.object({
  index: z.int().min(0).max(127).default(0),
  id: z.string().nullish(),
  function: z.object({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish(),
});

const chunkSchema = z.object({
  choices: z
    .array(
      z.object({
        delta: z
          .object({
            content: z.string().nullish(),
            reasoning_content: z.string().nullish(),
            reasoning: z.string().nullish(),
            tool_calls: z.array(callPieceSchema).nullish(),
          })
          .nullish(),
        text: z.string().nullish(),
        finish_reason: z.string().nullish(),
      }),
    )
    .nullish(),
  usage: z.object({ prompt_tokens: count, completion_tokens: count }).nullish(),
  error: z.unknown().optional(),
});

/** What one event says. Empty or undefined: nothing of that. */
export interface CompletionPiece {
  readonly text: string;
  readonly thinking: string;
  readonly calls: readonly z.output<typeof callPieceSchema>[];
  readonly stopReason: StopReason | undefined;
  readonly usage: Usage | undefined;
}

/**
 * Reads one event that is not `[DONE]`.
 *
 * @throws EngineFailure `unavailable` where the upstream says that it failed, or the event is not what it should be.
 */
export function readPiece(data: string): CompletionPiece {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw unreadable(cause);
  }
  const parsed = chunkSchema.safeParse(value);
  if (!parsed.success) throw unreadable(undefined);
  const { choices, usage, error } = parsed.data;
  // Its text may quote the prompt, so it goes no further.
  if (error !== undefined && error !== null)
    throw new EngineFailure('unavailable', 'the upstream failed in the middle of its answer');
  const [choice] = choices ?? [];
  const delta = choice?.delta;
  return {
    text: delta?.content ?? choice?.text ?? '',
    thinking: delta?.reasoning_content ?? delta?.reasoning ?? '',
    calls: delta?.tool_calls ?? [],
    stopReason: stopReasonOf(choice?.finish_reason),
    usage: usage ?? undefined,
  };
}

/** Most characters of all calls of one answer. */
const callsLength = 4 * 1024 * 1024;

/** Puts together tool calls, which come in pieces. */
export class CallAssembly {
  readonly #calls = new Map<number, { id: string; name: string; arguments: string }>();
  #length = 0;

  /** @throws EngineFailure `unavailable` where they are too long. */
  add(pieces: CompletionPiece['calls']): void {
    for (const { index, id, function: called } of pieces) {
      const call = this.#calls.get(index) ?? { id: '', name: '', arguments: '' };
      const more = called?.arguments ?? '';
      this.#length += more.length;
      if (this.#length > callsLength) throw unreadable(undefined);
      this.#calls.set(index, {
        id: id ?? call.id,
        name: called?.name ?? call.name,
        arguments: call.arguments + more,
      });
    }
  }

  /** The whole calls, in order. @throws EngineFailure `unavailable` where one is no JSON object. */
  finish(): readonly ToolCall[] {
    return [...this.#calls]
      .toSorted(([left], [right]) => left - right)
      .map(([index, call]) => {
        const { name, arguments: text } = call;
        if (name === '' || !isObject(text === '' ? '{}' : text)) throw unreadable(undefined);
        return { id: call.id === '' ? `call_${index}` : call.id, name, arguments: text === '' ? '{}' : text };
      });
  }
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

function stopReasonOf(reason: string | null | undefined): StopReason | undefined {
  if (reason === undefined || reason === null) return undefined;
  if (reason === 'length') return 'length';
  return reason === 'content_filter' || reason === 'error' ? 'error' : 'end';
}

function unreadable(cause: unknown): EngineFailure {
  return new EngineFailure('unavailable', 'the upstream sent an event that is no completion', { cause });
}
