import type { ToolCall, Usage } from '@hearth/protocol';
import {
  LanguageModelChatMessageRole,
  LanguageModelDataPart,
  LanguageModelPromptTsxPart,
  LanguageModelTextPart,
  LanguageModelToolCallPart,
  LanguageModelToolResultPart,
  type LanguageModelChatRequestMessage,
} from 'vscode';
import type { PlainMessage, PlainPart } from './plain-messages.js';

/**
 * The one file that knows VS Code's classes of message parts. Everything else sees plain messages.
 */

/** A message of VS Code's chat. Parts that no model takes, such as marks for a service's cache, are left out. */
export function plainMessage(message: LanguageModelChatRequestMessage): PlainMessage {
  return { role: toRole(message.role), parts: message.content.flatMap(plainParts) };
}

/** Text as a part of an answer. */
export function textPart(text: string): LanguageModelTextPart {
  return new LanguageModelTextPart(text);
}

/** A call of a tool as a part of an answer. Its arguments are a JSON object: the sidecar has seen to that. */
export function callPart({ id, name, arguments: text }: ToolCall): LanguageModelToolCallPart {
  const input: unknown = JSON.parse(text);
  return new LanguageModelToolCallPart(id, name, isObject(input) ? input : {});
}

/** How many tokens it took, where VS Code's chat looks for it: a part of data that is no text of the answer. */
export function usagePart({
  prompt_tokens,
  completion_tokens,
  cached_tokens = 0,
}: Usage): LanguageModelDataPart {
  const usage = {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens },
  };
  return LanguageModelDataPart.json(usage, 'usage');
}

function toRole(role: LanguageModelChatMessageRole): PlainMessage['role'] {
  switch (role) {
    case LanguageModelChatMessageRole.Assistant:
      return 'assistant';
    case LanguageModelChatMessageRole.User:
      return 'user';
    default:
      // A role of a proposal that the stable types do not name: VS Code's own system prompt.
      return 'system';
  }
}

/** Parts may be of classes that this version of the types does not know. */
function plainParts(part: unknown): readonly PlainPart[] {
  if (part instanceof LanguageModelTextPart) return [{ kind: 'text', text: part.value }];
  if (part instanceof LanguageModelToolCallPart) {
    const input: unknown = part.input;
    return [{ kind: 'call', id: part.callId, name: part.name, input: isObject(input) ? input : {} }];
  }
  if (part instanceof LanguageModelToolResultPart) {
    const inner = part.content.flatMap(plainParts);
    const text = inner.map((piece) => (piece.kind === 'text' ? piece.text : '')).join('');
    return [{ kind: 'result', id: part.callId, text }, ...inner.filter(({ kind }) => kind === 'image')];
  }
  if (part instanceof LanguageModelPromptTsxPart) return [{ kind: 'text', text: JSON.stringify(part.value) }];
  if (part instanceof LanguageModelDataPart) {
    if (part.mimeType.startsWith('image/')) return [{ kind: 'image', data: part.data }];
    if (part.mimeType.startsWith('text/'))
      return [{ kind: 'text', text: new TextDecoder().decode(part.data) }];
  }
  return [];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
