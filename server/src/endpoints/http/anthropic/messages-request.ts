import { type GenerateRequest, limits } from '@hearth/protocol';
import * as z from 'zod';
import { unsupported } from '../api-error.js';
import { Attachments, type ContentBlock } from '../attachments.js';
import { type Turn, turn } from '../blocks.js';
import { modelName, toGenerateRequest } from '../read-fields.js';

/** Anthropic's Messages API. Source: its reference of 2026. Marks for its prompt cache are taken and mean nothing. */

const text = z.object({ type: z.literal('text'), text: z.string() });
const image = z.object({
  type: z.literal('image'),
  source: z.discriminatedUnion('type', [
    z.object({ type: z.literal('base64'), media_type: z.string(), data: z.string() }),
    z.object({ type: z.literal('url'), url: z.string() }),
  ]),
});
const block = z.discriminatedUnion('type', [
  text,
  image,
  z.object({ type: z.literal('thinking'), thinking: z.string() }),
  z.object({
    type: z.literal('tool_use'),
    id: z.string(),
    name: z.string(),
    input: z.record(z.string(), z.unknown()),
  }),
  z.object({
    type: z.literal('tool_result'),
    tool_use_id: z.string(),
    content: z
      .union([z.string(), z.array(z.discriminatedUnion('type', [text, image])).max(limits.blocks)])
      .optional(),
    is_error: z.boolean().optional(),
  }),
]);
type ApiBlock = z.output<typeof block>;

const conversation = {
  model: z.string().max(256).optional(),
  messages: z
    .array(
      z.object({
        role: z.enum(['user', 'assistant']),
        content: z.union([z.string(), z.array(block).max(limits.blocks)]),
      }),
    )
    .min(1)
    .max(limits.messages),
  system: z.union([z.string(), z.array(text)]).optional(),
  tools: z
    .array(
      z.object({
        type: z.literal('custom', { error: 'tools must be your own: none are run here' }).optional(),
        name: z.string(),
        description: z.string().optional(),
        input_schema: z.record(z.string(), z.unknown()),
      }),
    )
    .max(limits.tools)
    .optional(),
  tool_choice: z
    .object({
      type: z.enum(['auto', 'any', 'tool', 'none']),
      name: z.string().optional(),
      disable_parallel_tool_use: z.boolean().optional(),
    })
    .optional(),
  thinking: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('enabled'), budget_tokens: z.int().min(1) }),
      z.object({ type: z.literal('adaptive') }),
      z.object({ type: z.literal('disabled') }),
    ])
    .optional(),
} as const;

export const countSchema = z.strictObject(conversation);

export const messagesSchema = z.strictObject({
  ...conversation,
  max_tokens: z.int().min(1),
  stream: z.boolean().default(false),
  stop_sequences: z.array(z.string()).optional(),
  temperature: z.number().min(0).max(1).optional(),
  top_p: z.number().optional(),
  top_k: z.int().min(0).optional(),
  metadata: z.object({ user_id: z.string().nullish() }).optional(),
  service_tier: z.enum(['auto', 'standard_only']).optional(),
});
export type MessagesBody = z.output<typeof messagesSchema>;

/** A message in the protocol's words. @throws ApiError @throws HearthError `invalid_request` */
export function messageRequest(body: MessagesBody, id: string): GenerateRequest {
  return toGenerateRequest({
    ...conversationOf(body, id),
    max_tokens: body.max_tokens,
    stop: body.stop_sequences,
    temperature: body.temperature,
    top_p: body.top_p,
    top_k: body.top_k,
  });
}

/** A conversation whose tokens are to be counted. */
export function countRequest(body: z.output<typeof countSchema>, id: string): GenerateRequest {
  return toGenerateRequest(conversationOf(body, id));
}

function conversationOf(body: z.output<typeof countSchema>, id: string): Readonly<Record<string, unknown>> {
  const { system, messages, tools = [], tool_choice: choice, thinking } = body;
  const attachments = new Attachments();
  const first: Turn[] =
    system === undefined
      ? []
      : [
          {
            role: 'system',
            content: typeof system === 'string' ? system : system.map((one) => one.text).join('\n\n'),
          },
        ];
  const turns = messages.map(({ role, content }, index) =>
    typeof content === 'string'
      ? { role, content }
      : turn(
          role,
          content.flatMap((one, part) => toBlock(one, `messages.${index}.content.${part}`, attachments)),
        ),
  );
  return {
    id,
    model: modelName(body.model),
    messages: [...first, ...turns],
    attachments: attachments.list.length === 0 ? undefined : attachments.list,
    tools: tools.length === 0 ? undefined : tools.map(({ type: _type, ...tool }) => tool),
    tool_choice: tools.length === 0 ? undefined : toChoice(choice),
    parallel_tool_calls: tools.length > 0 && choice?.disable_parallel_tool_use === true ? false : undefined,
    thinking: thinking === undefined ? undefined : thinking.type !== 'disabled',
    thinking_budget: thinking?.type === 'enabled' ? thinking.budget_tokens : undefined,
  };
}

function toChoice(choice: MessagesBody['tool_choice']): unknown {
  switch (choice?.type) {
    case undefined:
      return undefined;
    case 'any':
      return 'required';
    case 'tool':
      return { name: choice.name ?? '' };
    case 'auto':
    case 'none':
      return choice.type;
  }
}

function toBlock(one: ApiBlock, field: string, attachments: Attachments): readonly ContentBlock[] {
  switch (one.type) {
    case 'text':
      return [{ type: 'text', text: one.text }];
    case 'thinking':
      return one.thinking === '' ? [] : [{ type: 'thinking', text: one.thinking }];
    case 'image':
      return [toImage(one, field, attachments)];
    case 'tool_use':
      return [{ type: 'tool_use', tool_call_id: one.id, name: one.name, input: one.input }];
    case 'tool_result': {
      const { tool_use_id: id, content = '' } = one;
      if (typeof content === 'string') return [{ type: 'tool_result', tool_call_id: id, content }];
      const texts = content.flatMap((piece) => (piece.type === 'text' ? [piece.text] : []));
      const images = content.flatMap((piece, index) =>
        piece.type === 'image' ? [toImage(piece, `${field}.content.${index}`, attachments)] : [],
      );
      return [{ type: 'tool_result', tool_call_id: id, content: texts.join('\n') }, ...images];
    }
  }
}

function toImage({ source }: z.output<typeof image>, field: string, attachments: Attachments): ContentBlock {
  if (source.type === 'base64') return attachments.add('image', source.data);
  throw unsupported(`${field}.source`, 'Remote images are not fetched: send the image itself as base64.');
}
