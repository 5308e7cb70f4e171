import type { ChatMessage, ContentBlock } from '@hearth/protocol';
import type { Takes, TemplateCall, TemplateMessage } from './chat-template.js';

/**
 * Turns of typed content in the words of a template. What it has no place for becomes text in the way that models are
 * told to write it.
 */
export function toTemplateMessages(
  messages: readonly ChatMessage[],
  takes: Takes,
): readonly TemplateMessage[] {
  const names = new Map<string, string>();
  const ids = new CallIds();
  return messages.flatMap(({ role, content }): TemplateMessage[] => {
    for (const block of content) if (block.kind === 'tool_use') names.set(block.id, block.name);
    if (role === 'assistant') return [assistantMessage(content, takes, ids)];
    const results = content.filter((block) => block.kind === 'tool_result');
    const text = textOf(content);
    const rest: TemplateMessage[] = text === '' && results.length > 0 ? [] : [{ role, content: text }];
    if (results.length === 0) return rest;
    if (takes.results) {
      return [
        ...results.map(({ id, text: result }): TemplateMessage => ({
          role: 'tool',
          content: result,
          tool_call_id: ids.of(id),
          name: names.get(id) ?? 'tool',
        })),
        ...rest,
      ];
    }
    const shown = results.map((result) => `<tool_response>\n${result.text}\n</tool_response>`);
    return [{ role: 'user', content: [...shown, ...(text === '' ? [] : [text])].join('\n') }];
  });
}

function assistantMessage(content: readonly ContentBlock[], takes: Takes, ids: CallIds): TemplateMessage {
  const text = textOf(content);
  const thinking = content.flatMap((block) => (block.kind === 'thinking' ? [block.text] : [])).join('');
  const calls = content.filter((block) => block.kind === 'tool_use');
  const reasoning = thinking === '' ? {} : { reasoning_content: thinking };
  if (calls.length === 0) return { role: 'assistant', content: text, ...reasoning };
  const form = takes.calls;
  if (form !== undefined) {
    const given = calls.map(({ id, name, input }): TemplateCall => ({
      id: ids.of(id),
      type: 'function',
      function: { name, arguments: form === 'object' ? input : JSON.stringify(input) },
    }));
    return { role: 'assistant', content: text, ...reasoning, tool_calls: given };
  }
  const shown = calls.map(
    ({ name, input }) => `<tool_call>\n${JSON.stringify({ name, arguments: input })}\n</tool_call>`,
  );
  return { role: 'assistant', content: [...(text === '' ? [] : [text]), ...shown].join('\n'), ...reasoning };
}

function textOf(content: readonly ContentBlock[]): string {
  return content.flatMap((block) => (block.kind === 'text' ? [block.text] : [])).join('');
}

/** Ids as the strictest template wants them: nine letters or digits, each its own. */
class CallIds {
  readonly #known = new Map<string, string>();

  of(id: string): string {
    const known = this.#known.get(id);
    if (known !== undefined) return known;
    const own = /^[A-Za-z0-9]{9}$/u.test(id) ? id : `call${String(this.#known.size).padStart(5, '0')}`;
    this.#known.set(id, own);
    return own;
  }
}
