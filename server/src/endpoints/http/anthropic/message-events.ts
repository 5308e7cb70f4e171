import type { Done, Piece } from '../generations.js';

/** A block of an answer as Anthropic's API has it. */
export type AnswerBlock =
  | { readonly type: 'text'; text: string }
  | { readonly type: 'thinking'; thinking: string; readonly signature: '' }
  | { readonly type: 'tool_use'; readonly id: string; readonly name: string; readonly input: unknown };

/** Puts the pieces of an answer together to blocks, and tells of each step as that API streams it. */
export class MessageBlocks {
  readonly #blocks: AnswerBlock[] = [];
  #isOpen = false;

  get list(): readonly AnswerBlock[] {
    return this.#blocks;
  }

  /** The events for one piece, as text. */
  add(piece: Piece): string {
    switch (piece.kind) {
      case 'token': {
        const [before, last] = this.#current('text');
        last.text += piece.text;
        return before + this.#delta(`{"type":"text_delta","text":${JSON.stringify(piece.text)}}`);
      }
      case 'thinking': {
        const [before, last] = this.#current('thinking');
        last.thinking += piece.text;
        return before + this.#delta(`{"type":"thinking_delta","thinking":${JSON.stringify(piece.text)}}`);
      }
      case 'tool_call': {
        const { id, name, arguments: text } = piece.call;
        const input: unknown = JSON.parse(text);
        const begin = this.finish() + this.#begin({ type: 'tool_use', id, name, input }, { input: {} });
        return (
          begin +
          this.#delta(JSON.stringify({ type: 'input_json_delta', partial_json: text })) +
          this.finish()
        );
      }
    }
  }

  /** Ends the block that is being written. */
  finish(): string {
    if (!this.#isOpen) return '';
    this.#isOpen = false;
    const isThinking = this.#blocks.at(-1)?.type === 'thinking';
    const signature = isThinking ? this.#delta('{"type":"signature_delta","signature":""}') : '';
    return signature + event('content_block_stop', { index: this.#blocks.length - 1 });
  }

  /** The block of that type which is being written, and what it takes to begin it. */
  #current<Type extends 'text' | 'thinking'>(type: Type): [string, Extract<AnswerBlock, { type: Type }>] {
    const open = this.#blocks.at(-1);
    if (this.#isOpen && open !== undefined && isBlock(open, type)) return ['', open];
    const before = this.finish();
    const block: AnswerBlock =
      type === 'text' ? { type: 'text', text: '' } : { type: 'thinking', thinking: '', signature: '' };
    const begin = this.#begin(block, {});
    if (!isBlock(block, type)) throw new Error('a block has the type that it was made with');
    return [before + begin, block];
  }

  #begin(block: AnswerBlock, shown: object): string {
    this.#blocks.push(block);
    this.#isOpen = true;
    return event('content_block_start', {
      index: this.#blocks.length - 1,
      content_block: { ...block, ...shown },
    });
  }

  /** @param delta as JSON */
  #delta(delta: string): string {
    const index = this.#blocks.length - 1;
    return `event: content_block_delta\ndata: {"type":"content_block_delta","index":${index},"delta":${delta}}\n\n`;
  }
}

/** One event as that API writes it: its name stands before it and in it. */
export function event(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

/** Why a generation ended, in Anthropic's words. @param stops the texts that were to end it */
export function stopOf(done: Done, stops: readonly string[]) {
  if (done.stopReason === 'length') return { stop_reason: 'max_tokens', stop_sequence: null } as const;
  if (done.toolCalls !== undefined) return { stop_reason: 'tool_use', stop_sequence: null } as const;
  if (done.stopDetail !== 'stop_sequence') return { stop_reason: 'end_turn', stop_sequence: null } as const;
  // Engines say that it was one of them, not which.
  const [only] = stops;
  return { stop_reason: 'stop_sequence', stop_sequence: stops.length === 1 ? (only ?? null) : null } as const;
}

/** What the answer cost. Tokens that were there already count apart, as that API has it. */
export function messageUsage({ usage }: Done) {
  const cached = usage.cached_tokens ?? 0;
  return {
    input_tokens: Math.max(0, usage.prompt_tokens - cached),
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: usage.completion_tokens,
  };
}

function isBlock<Type extends AnswerBlock['type']>(
  block: AnswerBlock,
  type: Type,
): block is Extract<AnswerBlock, { type: Type }> {
  return block.type === type;
}
