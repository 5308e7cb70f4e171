import { limits } from '@hearth/protocol';
import * as z from 'zod';

/**
 * The fields of OpenAI's APIs that mean something here. Source: OpenAI's API reference of 2026, and what llama.cpp's
 * server takes beside it.
 */

const text = z.object({ type: z.literal('text'), text: z.string() });
const userPart = z.discriminatedUnion('type', [
  text,
  z.object({ type: z.literal('image_url'), image_url: z.object({ url: z.string() }) }),
  z.object({
    type: z.literal('input_audio'),
    input_audio: z.object({ data: z.string(), format: z.enum(['wav', 'mp3']) }),
  }),
]);
const texts = z.union([z.string(), z.array(text).max(limits.blocks)]);

const callSchema = z.object({
  id: z.string(),
  type: z.literal('function').default('function'),
  function: z.object({ name: z.string(), arguments: z.string() }),
});

const messageSchema = z.discriminatedUnion('role', [
  z.object({ role: z.enum(['system', 'developer']), content: texts }),
  z.object({ role: z.literal('user'), content: z.union([z.string(), z.array(userPart).max(limits.blocks)]) }),
  z.object({
    role: z.literal('assistant'),
    content: texts.nullish(),
    tool_calls: z.array(callSchema).max(limits.blocks).nullish(),
    reasoning_content: z.string().nullish(),
  }),
  z.object({ role: z.literal('tool'), content: texts, tool_call_id: z.string() }),
]);
export type ChatApiMessage = z.output<typeof messageSchema>;

const functionToolSchema = z.object({
  type: z.literal('function'),
  function: z.object({
    name: z.string(),
    description: z.string().nullish(),
    parameters: z.record(z.string(), z.unknown()).nullish(),
    strict: z.boolean().nullish(),
  }),
});

/** What samples, in every API of OpenAI's kind. */
export const samplingFields = {
  temperature: z.number().optional(),
  top_p: z.number().optional(),
  seed: z.int().optional(),
  presence_penalty: z.number().optional(),
  frequency_penalty: z.number().optional(),
  logit_bias: z.record(z.string().regex(/^\d{1,10}$/), z.number()).optional(),
  stop: z.union([z.string(), z.array(z.string())]).optional(),
  n: z.int().min(1).max(8).optional(),
  top_k: z.int().optional(),
  min_p: z.number().optional(),
  typical_p: z.number().optional(),
  repeat_penalty: z.number().optional(),
  repeat_last_n: z.int().optional(),
  dry_multiplier: z.number().optional(),
  dry_base: z.number().optional(),
  dry_allowed_length: z.int().optional(),
  dry_penalty_last_n: z.int().optional(),
  xtc_probability: z.number().optional(),
  xtc_threshold: z.number().optional(),
  mirostat: z.int().optional(),
  mirostat_tau: z.number().optional(),
  mirostat_eta: z.number().optional(),
  grammar: z.string().optional(),
} as const;

/** What every one of them has, and what asks for nothing that would have to be done. */
export const commonFields = {
  model: z.string().max(256).optional(),
  stream: z.boolean().default(false),
  stream_options: z
    .object({ include_usage: z.boolean().nullish(), include_obfuscation: z.boolean().nullish() })
    .optional(),
  user: z.string().optional(),
  safety_identifier: z.string().optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  prompt_cache_key: z.string().optional(),
  prompt_cache_retention: z.string().optional(),
  service_tier: z.enum(['auto', 'default']).optional(),
  store: z.literal(false, { error: 'store must be false: nothing is stored here' }).optional(),
  cache_prompt: z.literal(true).optional(),
} as const;

export const chatSchema = z.strictObject({
  ...commonFields,
  ...samplingFields,
  messages: z.array(messageSchema).min(1).max(limits.messages),
  max_tokens: z.int().min(1).optional(),
  max_completion_tokens: z.int().min(1).optional(),
  tools: z.array(functionToolSchema).max(limits.tools).optional(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.object({ type: z.literal('function'), function: z.object({ name: z.string() }) }),
    ])
    .optional(),
  parallel_tool_calls: z.boolean().optional(),
  response_format: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('text') }),
      z.object({ type: z.literal('json_object') }),
      z.object({
        type: z.literal('json_schema'),
        json_schema: z.object({
          name: z.string(),
          description: z.string().nullish(),
          schema: z.record(z.string(), z.unknown()).default({ type: 'object' }),
          strict: z.boolean().nullish(),
        }),
      }),
    ])
    .optional(),
  logprobs: z.boolean().optional(),
  top_logprobs: z.int().min(0).max(limits.logprobs).optional(),
  reasoning_effort: z.enum(['none', 'minimal', 'low', 'medium', 'high', 'xhigh']).optional(),
  modalities: z.tuple([z.literal('text')]).optional(),
  verbosity: z.literal('medium').optional(),
  chat_template_kwargs: z.strictObject({ enable_thinking: z.boolean().optional() }).optional(),
});
export type ChatBody = z.output<typeof chatSchema>;
