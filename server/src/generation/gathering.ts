import type { ResolvedGeneration, TokenLogprob, ToolCall } from '@hearth/protocol';
import type { EngineChunk } from '../engine/engine.js';

/** What the pieces of an answer come to. Bounded by the request's `max_tokens` and the model's context. */
export interface Gathered {
  readonly text: string;
  readonly thinking: string;
  readonly toolCalls: readonly ToolCall[];
  readonly logprobs: readonly TokenLogprob[];
}

/** Gathers the chunks of one generation. */
export class Gathering {
  #text = '';
  #thinking = '';
  readonly #toolCalls: ToolCall[] = [];
  readonly #logprobs: TokenLogprob[] = [];

  add(chunk: EngineChunk): void {
    switch (chunk.kind) {
      case 'token':
        this.#text += chunk.text;
        for (const logprob of chunk.logprobs ?? []) this.#logprobs.push(logprob);
        return;
      case 'thinking':
        this.#thinking += chunk.text;
        return;
      case 'tool_call':
        this.#toolCalls.push(chunk.call);
        return;
      case 'prefill':
      case 'resumed':
      case 'done':
        return;
    }
  }

  get all(): Gathered {
    return {
      text: this.#text,
      thinking: this.#thinking,
      toolCalls: this.#toolCalls,
      logprobs: this.#logprobs,
    };
  }
}

/** Whether the request asked for a call of a tool and the answer has none that fits (row 33). */
export function isToolChoiceUnsatisfied(
  { input }: ResolvedGeneration,
  toolCalls: readonly ToolCall[],
): boolean {
  if (input.kind !== 'chat') return false;
  const { toolChoice } = input;
  if (toolChoice.kind === 'required') return toolCalls.length === 0;
  if (toolChoice.kind === 'named') return !toolCalls.some(({ name }) => name === toolChoice.name);
  return false;
}
