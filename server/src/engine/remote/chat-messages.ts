import type { ChatMessage, ContentBlock } from '@hearth/protocol';

/** A conversation in the words of OpenAI's chat API. */
type ApiMessage = Readonly<Record<string, unknown>>;

/**
 * One of our turns can hold what takes several of theirs: a tool's result is a message of its own there, and stands
 * before the rest of the turn that brought it. Thinking is left out, as that API has it.
 */
export function chatMessages(messages: readonly ChatMessage[]): readonly ApiMessage[] {
  return messages.flatMap(({ role, content }) => {
    const results = content.flatMap((block) =>
      block.kind === 'tool_result' ? [{ role: 'tool', tool_call_id: block.id, content: block.text }] : [],
    );
    const calls = content.flatMap((block) => (block.kind === 'tool_use' ? [toCall(block)] : []));
    const parts = content.flatMap(toPart);
    if (parts.length === 0 && calls.length === 0) return results;
    const onlyText = parts.every((part) => part.type === 'text');
    const text = onlyText ? parts.map((part) => ('text' in part ? part.text : '')).join('') : parts;
    return [
      ...results,
      {
        role,
        content: parts.length === 0 ? null : text,
        ...(calls.length === 0 ? {} : { tool_calls: calls }),
      },
    ];
  });
}

type Part =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image_url'; readonly image_url: { readonly url: string } };

function toPart(block: ContentBlock): readonly Part[] {
  if (block.kind === 'text') return [{ type: 'text', text: block.text }];
  if (block.kind !== 'media') return [];
  return [{ type: 'image_url', image_url: { url: `data:${imageType(block.data)};base64,${block.data}` } }];
}

function toCall({ id, name, input }: Extract<ContentBlock, { kind: 'tool_use' }>): ApiMessage {
  return { id, type: 'function', function: { name, arguments: JSON.stringify(input) } };
}

/** The type of an image by the first bytes of its base64. */
function imageType(data: string): string {
  if (data.startsWith('iVBORw0KGgo')) return 'image/png';
  if (data.startsWith('R0lGOD')) return 'image/gif';
  return data.startsWith('UklGR') ? 'image/webp' : 'image/jpeg';
}
