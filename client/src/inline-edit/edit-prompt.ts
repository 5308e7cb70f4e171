import type { ModelInfo } from '@hearth/protocol';
import { fenced } from '../fenced.js';

/** What an inline edit asks of the model. */
export interface EditOrder {
  readonly language: string;
  /** The text of the document before and after the code that is to be changed. */
  readonly before: string;
  readonly after: string;
  readonly code: string;
  /** What was asked before and has been done, oldest first. */
  readonly earlier: readonly string[];
  readonly instruction: string;
}

/** A careful guess for code; the engine counts exactly. */
const charactersPerToken = 3;

const system =
  'You edit source code. Answer with the new code that replaces the code between the marks, whole, in one fenced block, and nothing else. Keep what the instruction does not ask to change.';

export interface EditRequest {
  readonly messages: { role: 'system' | 'user'; content: string }[];
  readonly max_tokens: number;
}

/**
 * The request for an edit; undefined where the code is too long for the model to write it anew. What surrounds the
 * code is cut to what the context has room for, the nearest kept.
 */
export function editRequest(order: EditOrder, { contextSize }: ModelInfo): EditRequest | undefined {
  const tokensOf = (text: string): number => Math.ceil(text.length / charactersPerToken);
  // As long again as the code, and a half for what is added.
  const answer = Math.max(256, Math.ceil(tokensOf(order.code) * 1.5));
  const asked = tokensOf(system + order.instruction + order.earlier.join('')) + 64;
  const room = contextSize - answer - asked - tokensOf(order.code);
  if (room < 0) return undefined;
  const characters = Math.floor((room * charactersPerToken) / 2);
  const content = [
    `The file is ${order.language}.`,
    ...(characters > 0 ? ['Before the code:', fenced(order.before.slice(-characters))] : []),
    ...(characters > 0 ? ['After the code:', fenced(order.after.slice(0, characters))] : []),
    ...order.earlier.map((instruction) => `Done already: ${instruction}`),
    'The code to change:',
    fenced(order.code),
    `Instruction: ${order.instruction}`,
  ].join('\n');
  return {
    messages: [
      { role: 'system', content: system },
      { role: 'user', content },
    ],
    max_tokens: answer,
  };
}
