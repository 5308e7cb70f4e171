import type { ModelInfo } from '@hearth/protocol';
import { fenced } from '../fenced.js';

/** A question about a piece of text, with what is known of where it comes from. */
export interface TextQuestion {
  /** What the model is told before everything else. */
  readonly system: string;
  /** What is wanted, as one sentence or more. */
  readonly wish: string;
  /** Such as `The code, in typescript:`. */
  readonly label: string;
  readonly text: string;
  /** What stands around it; cut to what the context has room for, the nearest kept. */
  readonly around?: { readonly before: string; readonly after: string };
}

export interface QuestionRequest {
  readonly messages: { role: 'system' | 'user'; content: string }[];
  readonly max_tokens: number;
}

/** A careful guess for code; the engine counts exactly. */
const charactersPerToken = 3;
/** Most tokens of an answer, and the fewest that are worth asking for. */
const longestAnswer = 1024;
const shortestAnswer = 128;
/** Most characters of surroundings on each side: more would cost time and tell little. */
const mostAround = 2000;

/** The request for a question; undefined where text and answer do not fit into the model's context together. */
export function questionRequest(
  { system, wish, label, text, around }: TextQuestion,
  { contextSize }: ModelInfo,
): QuestionRequest | undefined {
  const asked =
    Math.ceil((system.length + wish.length + label.length + text.length) / charactersPerToken) + 48;
  const room = contextSize - asked;
  if (room < shortestAnswer) return undefined;
  const max_tokens = Math.max(shortestAnswer, Math.min(longestAnswer, Math.floor(room * 0.6)));
  const side = Math.min(mostAround, Math.floor(((room - max_tokens) * charactersPerToken) / 2));
  const before = side > 0 ? (around?.before.slice(-side) ?? '') : '';
  const after = around?.after.slice(0, Math.max(0, side)) ?? '';
  const content = [
    ...(before.trim() === '' ? [] : ['What stands before it:', fenced(before)]),
    ...(after.trim() === '' ? [] : ['What stands after it:', fenced(after)]),
    label,
    fenced(text),
    wish,
  ].join('\n');
  return {
    messages: [
      { role: 'system', content: system },
      { role: 'user', content },
    ],
    max_tokens,
  };
}

/** What to tell a person whose text does not fit. */
export function tooLong(what: string, { displayName, contextSize }: ModelInfo): string {
  return `${what} is too long for ${displayName}, whose context has ${contextSize} tokens. Select less, or choose a model with a larger context with "Hearth: Switch Model…".`;
}
