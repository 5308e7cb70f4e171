import type { Message } from '@hearth/protocol';
import {
  LanguageModelChatMessageRole,
  LanguageModelDataPart,
  LanguageModelTextPart,
  LanguageModelToolCallPart,
  LanguageModelToolResultPart,
  type LanguageModelChatRequestMessage,
} from 'vscode';

/**
 * The one file that knows VS Code's classes of message parts. Everything else sees plain messages.
 */

/** VS Code's messages as the sidecar takes them. Parts that a text model cannot take are left out. */
export function toMessages(messages: readonly LanguageModelChatRequestMessage[]): readonly Message[] {
  return messages.flatMap((message) => {
    const content = textOf(message);
    return content === '' ? [] : [{ role: toRole(message.role), content }];
  });
}

/** The text of a message, as it is sent and counted. */
export function textOf(message: LanguageModelChatRequestMessage): string {
  return message.content.map(textOfPart).join('');
}

/** Text as a part of an answer. */
export function textPart(text: string): LanguageModelTextPart {
  return new LanguageModelTextPart(text);
}

function toRole(role: LanguageModelChatMessageRole): Message['role'] {
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
function textOfPart(part: unknown): string {
  if (part instanceof LanguageModelTextPart) return part.value;
  if (part instanceof LanguageModelToolResultPart) return part.content.map(textOfPart).join('');
  if (part instanceof LanguageModelToolCallPart) return `${part.name}(${JSON.stringify(part.input)})`;
  if (part instanceof LanguageModelDataPart && part.mimeType.startsWith('text/')) {
    return new TextDecoder().decode(part.data);
  }
  return '';
}
