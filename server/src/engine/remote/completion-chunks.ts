import type { StopReason, ToolCall, Usage } from '@hearth/protocol';
import { EngineFailure } from '../engine.js';

/**
 * What the events of a completion stream mean: of `/v1/chat/completions`, where text is `delta.content`, and of
 * `/v1/completions`, where it is `text`. Reasoning comes as `reasoning_content` (DeepSeek, llama.cpp, vLLM) or
 * `reasoning`.
 */

/** What one event says. Empty or undefined: nothing of that. */
export interface CompletionPiece {
  readonly text: string;
  readonly thinking: string;
  readonly calls: readonly CallPiece[];
  readonly stopReason: StopReason | undefined;
  readonly usage: Usage | undefined;
}

/** A part of a tool call. */
export interface CallPiece {
  /** Which of the answer's calls, 0 to 127. */
  readonly index: number;
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly arguments: string;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads one event that is not `[DONE]`. By hand and not by a schema: it runs for every token.
 *
 * @throws EngineFailure `unavailable` where the upstream says that it failed, or the event is not what it should be.
 */
export function readPiece(data: string): CompletionPiece {
  const event = parse(data);
  // Its text may quote the prompt, so it goes no further.
  if (event['error'] !== undefined && event['error'] !== null)
    throw new EngineFailure('unavailable', 'the upstream failed in the middle of its answer');
  const choice = objectOf(listOf(event['choices'])[0]);
  const delta = objectOf(choice['delta']);
  return {
    text: textOf(delta['content']) ?? textOf(choice['text']) ?? '',
    thinking: textOf(delta['reasoning_content']) ?? textOf(delta['reasoning']) ?? '',
    calls: listOf(delta['tool_calls']).map(toCallPiece),
    stopReason: stopReasonOf(textOf(choice['finish_reason'])),
    usage: usageOf(event['usage']),
  };
}

function parse(data: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch (cause) {
    throw unreadable(cause);
  }
  if (value === null) throw unreadable(undefined);
  return objectOf(value);
}

function toCallPiece(value: unknown): CallPiece {
  if (typeof value !== 'object' || value === null) throw unreadable(undefined);
  const piece = objectOf(value);
  const called = objectOf(piece['function']);
  const { index = 0 } = piece;
  if (!isCount(index) || index > 127) throw unreadable(undefined);
  return {
    index,
    id: textOf(piece['id']),
    name: textOf(called['name']),
    arguments: textOf(called['arguments']) ?? '',
  };
}

function usageOf(value: unknown): Usage | undefined {
  if (value === undefined || value === null) return undefined;
  const { prompt_tokens, completion_tokens, prompt_tokens_details } = objectOf(value);
  if (!isCount(prompt_tokens) || !isCount(completion_tokens)) throw unreadable(undefined);
  const { cached_tokens } = objectOf(prompt_tokens_details);
  return { prompt_tokens, completion_tokens, ...(isCount(cached_tokens) ? { cached_tokens } : {}) };
}

/** Absent and null are an object without fields. */
function objectOf(value: unknown): Fields {
  if (value === undefined || value === null) return nothing;
  if (typeof value !== 'object' || Array.isArray(value)) throw unreadable(undefined);
  return value as Fields;
}

function listOf(value: unknown): readonly unknown[] {
  if (value === undefined || value === null) return none;
  if (!Array.isArray(value)) throw unreadable(undefined);
  return value;
}

function textOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw unreadable(undefined);
  return value;
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 4_294_967_295;
}

const nothing: Fields = {};
const none: readonly unknown[] = [];

/** Most characters of all calls of one answer. */
const callsLength = 4 * 1024 * 1024;

/** Puts together tool calls, which come in pieces. */
export class CallAssembly {
  readonly #calls = new Map<number, { id: string; name: string; arguments: string }>();
  #length = 0;

  /** @throws EngineFailure `unavailable` where they are too long. */
  add(pieces: CompletionPiece['calls']): void {
    for (const { index, id, name, arguments: more } of pieces) {
      const call = this.#calls.get(index) ?? { id: '', name: '', arguments: '' };
      this.#length += more.length;
      if (this.#length > callsLength) throw unreadable(undefined);
      this.#calls.set(index, {
        id: id ?? call.id,
        name: name ?? call.name,
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
