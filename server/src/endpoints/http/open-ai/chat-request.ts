import type { GenerateRequest, GenerateRequestInput } from '@hearth/protocol';
import { invalidRequest } from '../api-error.js';
import { Attachments, type ContentBlock } from '../attachments.js';
import { modelName, toGenerateRequest } from '../read-fields.js';
import type { ChatApiMessage, ChatBody } from './chat-schema.js';
import { samplingOf } from './sampling.js';

type Message = NonNullable<GenerateRequestInput['messages']>[number];

/**
 * A chat completion in the protocol's words.
 *
 * @param id what the answer and the activity log call it
 * @param maxTokens where the body names no bound
 * @throws ApiError for what cannot be said in them. @throws HearthError `invalid_request`
 */
export function chatRequest(body: ChatBody, id: string, maxTokens: number): GenerateRequest {
  const attachments = new Attachments();
  const { tools = [], tool_choice: choice, response_format: format } = body;
  return toGenerateRequest({
    ...samplingOf(body),
    id,
    model: modelName(body.model),
    messages: body.messages.map((message, index) => toMessage(message, `messages.${index}`, attachments)),
    attachments: attachments.list.length === 0 ? undefined : attachments.list,
    max_tokens: body.max_completion_tokens ?? body.max_tokens ?? maxTokens,
    tools:
      tools.length === 0
        ? undefined
        : tools.map(({ function: { name, description, parameters } }) => ({
            name,
            description: description ?? '',
            ...(parameters === null || parameters === undefined ? {} : { input_schema: parameters }),
          })),
    tool_choice:
      tools.length === 0 ? undefined : typeof choice === 'object' ? { name: choice.function.name } : choice,
    parallel_tool_calls: tools.length === 0 ? undefined : body.parallel_tool_calls,
    response_format:
      format?.type === 'json_schema' ? { type: format.type, schema: format.json_schema.schema } : format,
    logprobs: body.logprobs === true ? (body.top_logprobs ?? 0) : undefined,
    thinking: thinkingOf(body),
    cache_key: cacheKey(body.prompt_cache_key),
  });
}

/** A key of the client's, cut to what the protocol takes. */
export function cacheKey(key: string | undefined): string | undefined {
  return key === undefined || key === '' ? undefined : key.slice(0, 256);
}

function thinkingOf({
  reasoning_effort: effort,
  chat_template_kwargs: extra,
}: ChatBody): boolean | undefined {
  if (extra?.enable_thinking !== undefined) return extra.enable_thinking;
  return effort === undefined ? undefined : effort !== 'none' && effort !== 'minimal';
}

function toMessage(message: ChatApiMessage, field: string, attachments: Attachments): Message {
  switch (message.role) {
    case 'system':
    case 'developer':
      return { role: 'system', content: plain(message.content) };
    case 'user':
      if (typeof message.content === 'string') return { role: 'user', content: message.content };
      return {
        role: 'user',
        content: message.content.map((part, index): ContentBlock => {
          if (part.type === 'text') return part;
          if (part.type === 'input_audio') return attachments.add('audio', part.input_audio.data);
          return attachments.addImageUrl(part.image_url.url, `${field}.content.${index}.image_url.url`);
        }),
      };
    case 'tool': {
      const { tool_call_id, content } = message;
      return { role: 'user', content: [{ type: 'tool_result', tool_call_id, content: plain(content) }] };
    }
    case 'assistant':
      return assistantMessage(message, field);
  }
}

function assistantMessage(message: Extract<ChatApiMessage, { role: 'assistant' }>, field: string): Message {
  const { content, tool_calls: calls, reasoning_content: thinking } = message;
  const said = content === null || content === undefined ? '' : plain(content);
  if ((calls ?? []).length === 0 && (thinking ?? '') === '') return { role: 'assistant', content: said };
  const blocks: ContentBlock[] = [
    ...((thinking ?? '') === '' ? [] : [{ type: 'thinking' as const, text: thinking ?? '' }]),
    ...(said === '' ? [] : [{ type: 'text' as const, text: said }]),
    ...(calls ?? []).map((call, index) => ({
      type: 'tool_use' as const,
      tool_call_id: call.id,
      name: call.function.name,
      input: argumentsOf(call.function.arguments, `${field}.tool_calls.${index}.function.arguments`),
    })),
  ];
  return { role: 'assistant', content: blocks };
}

/** The arguments of a call, which these APIs write as text. @throws ApiError 400 */
export function argumentsOf(text: string, field: string): Record<string, unknown> {
  try {
    const value: unknown = text === '' ? {} : JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Told below: the error's own message would quote the text.
  }
  throw invalidRequest(`${field} must be a JSON object, as text`, field);
}

function plain(content: string | readonly { readonly text: string }[]): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('');
}
