import { type GenerateRequest, limits } from '@hearth/protocol';
import * as z from 'zod';
import { Attachments, type ContentBlock } from '../attachments.js';
import { mergeTurns, type Turn } from '../blocks.js';
import { modelName, toGenerateRequest } from '../read-fields.js';
import { argumentsOf, cacheKey } from './chat-request.js';

/** The part of OpenAI's Responses API that needs no memory of earlier answers. Source: its reference of 2026. */

const part = z.discriminatedUnion('type', [
  z.object({ type: z.enum(['input_text', 'output_text']), text: z.string() }),
  z.object({ type: z.literal('refusal'), refusal: z.string() }),
  z.strictObject({
    type: z.literal('input_image'),
    image_url: z.string(),
    detail: z.string().nullish(),
  }),
]);
const parts = z.union([z.string(), z.array(part).max(limits.blocks)]);

const item = z.union([
  z.object({
    type: z.literal('message').default('message'),
    role: z.enum(['user', 'assistant', 'system', 'developer']),
    content: parts,
  }),
  z.object({
    type: z.literal('function_call'),
    call_id: z.string(),
    name: z.string(),
    arguments: z.string(),
  }),
  z.object({ type: z.literal('function_call_output'), call_id: z.string(), output: parts }),
  z.object({
    type: z.literal('reasoning'),
    content: z.array(z.object({ type: z.literal('reasoning_text'), text: z.string() })).nullish(),
  }),
]);

export const responseSchema = z.strictObject({
  model: z.string().max(256).optional(),
  input: z.union([z.string(), z.array(item).min(1).max(limits.messages)]),
  instructions: z.string().optional(),
  stream: z.boolean().default(false),
  stream_options: z.object({ include_obfuscation: z.boolean().nullish() }).optional(),
  max_output_tokens: z.int().min(1).optional(),
  temperature: z.number().optional(),
  top_p: z.number().optional(),
  tools: z
    .array(
      z.object({
        type: z.literal('function', { error: 'tools must be functions: nothing else is run here' }),
        name: z.string(),
        description: z.string().nullish(),
        parameters: z.record(z.string(), z.unknown()).nullish(),
        strict: z.boolean().nullish(),
      }),
    )
    .max(limits.tools)
    .optional(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.object({ type: z.literal('function'), name: z.string() }),
    ])
    .optional(),
  parallel_tool_calls: z.boolean().optional(),
  text: z
    .strictObject({
      format: z
        .discriminatedUnion('type', [
          z.object({ type: z.literal('text') }),
          z.object({ type: z.literal('json_object') }),
          z.object({
            type: z.literal('json_schema'),
            name: z.string(),
            schema: z.record(z.string(), z.unknown()),
            strict: z.boolean().nullish(),
            description: z.string().nullish(),
          }),
        ])
        .optional(),
      verbosity: z.literal('medium').nullish(),
    })
    .optional(),
  reasoning: z
    .strictObject({
      effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh']).nullish(),
      // What is thought is told as it is.
      summary: z.literal('auto').nullish(),
    })
    .optional(),
  store: z.literal(false, { error: 'store must be false: nothing is stored here' }).optional(),
  background: z.literal(false, { error: 'background must be false' }).optional(),
  truncation: z.literal('disabled', { error: 'truncation must be "disabled"' }).optional(),
  // Nothing is encrypted here, so there is nothing more to include.
  include: z.array(z.literal('reasoning.encrypted_content')).optional(),
  user: z.string().optional(),
  safety_identifier: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  prompt_cache_key: z.string().optional(),
  prompt_cache_retention: z.string().optional(),
  service_tier: z.enum(['auto', 'default']).optional(),
});
export type ResponseBody = z.output<typeof responseSchema>;

/** A response in the protocol's words. @throws ApiError @throws HearthError `invalid_request` */
export function responseRequest(body: ResponseBody, id: string, maxTokens: number): GenerateRequest {
  const attachments = new Attachments();
  const { tools = [], tool_choice: choice, reasoning } = body;
  const format = body.text?.format;
  const effort = reasoning?.effort ?? undefined;
  return toGenerateRequest({
    id,
    model: modelName(body.model),
    messages: turnsOf(body, attachments),
    attachments: attachments.list.length === 0 ? undefined : attachments.list,
    max_tokens: body.max_output_tokens ?? maxTokens,
    temperature: body.temperature,
    top_p: body.top_p,
    tools:
      tools.length === 0
        ? undefined
        : tools.map(({ name, description, parameters }) => ({
            name,
            description: description ?? '',
            ...(parameters === null || parameters === undefined ? {} : { input_schema: parameters }),
          })),
    tool_choice: tools.length === 0 ? undefined : typeof choice === 'object' ? { name: choice.name } : choice,
    parallel_tool_calls: tools.length === 0 ? undefined : body.parallel_tool_calls,
    response_format: format?.type === 'json_schema' ? { type: format.type, schema: format.schema } : format,
    thinking: effort === undefined ? undefined : effort !== 'none' && effort !== 'minimal',
    cache_key: cacheKey(body.prompt_cache_key),
  });
}

type Item = Exclude<ResponseBody['input'], string>[number];

function turnsOf({ input, instructions }: ResponseBody, attachments: Attachments): readonly Turn[] {
  const items: readonly Item[] =
    typeof input === 'string' ? [{ type: 'message', role: 'user', content: input }] : input;
  const turns = items.map((one, index) => toTurn(one, `input.${index}`, attachments));
  const first =
    instructions === undefined
      ? []
      : [{ role: 'system' as const, blocks: [{ type: 'text' as const, text: instructions }] }];
  return mergeTurns([...first, ...turns]);
}

function toTurn(
  one: Item,
  field: string,
  attachments: Attachments,
): { readonly role: Turn['role']; readonly blocks: readonly ContentBlock[] } {
  switch (one.type) {
    case 'message':
      return {
        role: one.role === 'developer' ? 'system' : one.role,
        blocks: blocksOf(one.content, `${field}.content`, attachments),
      };
    case 'function_call': {
      const input = argumentsOf(one.arguments, `${field}.arguments`);
      return {
        role: 'assistant',
        blocks: [{ type: 'tool_use', tool_call_id: one.call_id, name: one.name, input }],
      };
    }
    case 'function_call_output': {
      const content = blocksOf(one.output, `${field}.output`, attachments)
        .map((block) => (block.type === 'text' ? block.text : ''))
        .join('');
      return { role: 'user', blocks: [{ type: 'tool_result', tool_call_id: one.call_id, content }] };
    }
    case 'reasoning': {
      const text = (one.content ?? []).map((piece) => piece.text).join('');
      return { role: 'assistant', blocks: text === '' ? [] : [{ type: 'thinking', text }] };
    }
  }
}

function blocksOf(
  content: z.output<typeof parts>,
  field: string,
  attachments: Attachments,
): readonly ContentBlock[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return content.map((piece, index) => {
    if (piece.type === 'refusal') return { type: 'text', text: piece.refusal };
    if (piece.type === 'input_image')
      return attachments.addImageUrl(piece.image_url, `${field}.${index}.image_url`);
    return { type: 'text', text: piece.text };
  });
}
