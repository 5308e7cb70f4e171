import type { ToolCall } from '@hearth/protocol';
import { answerId } from '../answer-id.js';
import type { Piece } from '../generations.js';

/** An event of a streamed response, before it has a number. */
export type OutputEvent = { readonly type: string } & Readonly<Record<string, unknown>>;

/** An item that is being written: its text grows until another kind of piece comes. */
interface OpenItem {
  readonly kind: 'message' | 'reasoning';
  readonly id: string;
  readonly index: number;
  text: string;
}

/**
 * The output of a response: what is thought, what is said and what is called, each an item of its own, with the events
 * that tell of them.
 */
export class OutputItems {
  readonly #items: object[] = [];
  #open: OpenItem | undefined;

  /** The items that are complete. */
  get list(): readonly object[] {
    return this.#items;
  }

  /** Takes one piece and gives the events that tell of it. */
  add(piece: Piece): readonly OutputEvent[] {
    switch (piece.kind) {
      case 'token':
        return this.#grow('message', piece.text);
      case 'thinking':
        return this.#grow('reasoning', piece.text);
      case 'tool_call':
        return [...this.finish(), ...this.#call(piece.call)];
    }
  }

  /** Ends the item that is being written. */
  finish(): readonly OutputEvent[] {
    const open = this.#open;
    if (open === undefined) return [];
    this.#open = undefined;
    const item = itemOf(open, 'completed');
    this.#items.push(item);
    const place = placeOf(open);
    const text = open.kind === 'message' ? 'output_text' : 'reasoning_text';
    const more = open.kind === 'message' ? { logprobs: [] } : {};
    return [
      { type: `response.${text}.done`, ...place, text: open.text, ...more },
      { type: 'response.content_part.done', ...place, part: partOf(open) },
      { type: 'response.output_item.done', output_index: open.index, item },
    ];
  }

  #grow(kind: OpenItem['kind'], text: string): readonly OutputEvent[] {
    const before = this.#open?.kind === kind ? [] : this.finish();
    const begun = this.#open === undefined ? this.#begin(kind) : [];
    const open = this.#open;
    if (open === undefined) return before;
    open.text += text;
    const name = kind === 'message' ? 'output_text' : 'reasoning_text';
    const more = kind === 'message' ? { logprobs: [] } : {};
    const delta = { type: `response.${name}.delta`, ...placeOf(open), delta: text, ...more };
    return [...before, ...begun, delta];
  }

  #begin(kind: OpenItem['kind']): readonly OutputEvent[] {
    const prefix = kind === 'message' ? 'msg' : 'rs';
    const open: OpenItem = { kind, id: newId(prefix), index: this.#items.length, text: '' };
    this.#open = open;
    return [
      {
        type: 'response.output_item.added',
        output_index: open.index,
        item: { ...itemOf(open, 'in_progress'), content: [] },
      },
      { type: 'response.content_part.added', ...placeOf(open), part: partOf(open) },
    ];
  }

  #call({ id: callId, name, arguments: text }: ToolCall): readonly OutputEvent[] {
    const index = this.#items.length;
    const id = newId('fc');
    const common = { id, type: 'function_call', call_id: callId, name } as const;
    const item = { ...common, arguments: text, status: 'completed' };
    this.#items.push(item);
    const place = { item_id: id, output_index: index };
    return [
      {
        type: 'response.output_item.added',
        output_index: index,
        item: { ...common, arguments: '', status: 'in_progress' },
      },
      { type: 'response.function_call_arguments.delta', ...place, delta: text },
      { type: 'response.function_call_arguments.done', ...place, name, arguments: text },
      { type: 'response.output_item.done', output_index: index, item },
    ];
  }
}

function itemOf(open: OpenItem, status: 'in_progress' | 'completed') {
  const { id } = open;
  if (open.kind === 'message')
    return { id, type: 'message', status, role: 'assistant', content: [partOf(open)] } as const;
  return { id, type: 'reasoning', summary: [], content: [partOf(open)], status } as const;
}

function partOf({ kind, text }: OpenItem) {
  if (kind === 'reasoning') return { type: 'reasoning_text', text } as const;
  return { type: 'output_text', text, annotations: [], logprobs: [] } as const;
}

function placeOf({ id, index }: OpenItem) {
  return { item_id: id, output_index: index, content_index: 0 };
}

function newId(prefix: string): string {
  return answerId(`${prefix}_`);
}
