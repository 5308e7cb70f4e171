import { type GenerateRequest, limits, type ToolCall } from '@hearth/protocol';
import * as z from 'zod';
import { Attachments, type ContentBlock } from '../attachments.js';
import { type Turn, turn } from '../blocks.js';
import { type Exchange, readJson } from '../exchange.js';
import { type ServedModel, servedModel } from '../models.js';
import { modelName, readFields, toGenerateRequest } from '../read-fields.js';
import { answer, answerLoaded } from './answer.js';
import {
  formatField,
  formatSchema,
  optionFields,
  optionsSchema,
  thinkField,
  thinkSchema,
} from './options.js';

const messageSchema = z.object({
  role: z.enum(['system', 'user', 'assistant', 'tool']),
  content: z.string().default(''),
  thinking: z.string().optional(),
  images: z.array(z.string()).max(limits.attachments).nullish(),
  tool_calls: z
    .array(
      z.object({
        id: z.string().optional(),
        function: z.object({ name: z.string(), arguments: z.record(z.string(), z.unknown()).default({}) }),
      }),
    )
    .nullish(),
  tool_call_id: z.string().optional(),
  tool_name: z.string().optional(),
});
type ApiMessage = z.output<typeof messageSchema>;

const chatSchema = z.strictObject({
  model: z.string().max(256),
  messages: z.array(messageSchema).max(limits.messages),
  stream: z.boolean().default(true),
  format: formatSchema.optional(),
  options: optionsSchema.default({}),
  tools: z
    .array(
      z.object({
        type: z.literal('function').default('function'),
        function: z.object({
          name: z.string(),
          description: z.string().optional(),
          parameters: z.record(z.string(), z.unknown()).optional(),
        }),
      }),
    )
    .max(limits.tools)
    .optional(),
  think: thinkSchema.optional(),
  // How long a model stays is for the daemon to say.
  keep_alive: z.union([z.string(), z.number()]).optional(),
});
type ChatBody = z.output<typeof chatSchema>;

/** `POST /api/chat` */
export async function chat(exchange: Exchange): Promise<void> {
  const body = readFields(chatSchema, await readJson(exchange));
  const model = servedModel(exchange.daemon, plainName(body.model));
  if (body.messages.length === 0) {
    answerLoaded(exchange, body.model, message({ content: '' }));
    return;
  }
  await answer(
    exchange,
    chatRequest(body, model),
    {
      model: body.model,
      piece: (piece) => {
        switch (piece.kind) {
          case 'token':
            return message({ content: piece.text });
          case 'thinking':
            return message({ content: '', thinking: piece.text });
          case 'tool_call':
            return message({ content: '', tool_calls: [toolCall(piece.call)] });
        }
      },
      end: (done, isStream) =>
        isStream
          ? message({ content: '' })
          : message({
              content: done.text,
              ...(done.thinking === undefined ? {} : { thinking: done.thinking }),
              ...(done.toolCalls === undefined ? {} : { tool_calls: done.toolCalls.map(toolCall) }),
            }),
    },
    body.stream,
  );
}

/** A model's name without the tag that Ollama's clients add by themselves. */
export function plainName(name: string): string | undefined {
  return modelName(name.replace(/:latest$/, ''));
}

function chatRequest(body: ChatBody, model: ServedModel): GenerateRequest {
  const attachments = new Attachments();
  const { tools = [] } = body;
  const messages = toTurns(body.messages, attachments);
  return toGenerateRequest({
    ...optionFields(body.options, model),
    model: plainName(body.model),
    messages,
    attachments: attachments.list.length === 0 ? undefined : attachments.list,
    tools:
      tools.length === 0
        ? undefined
        : tools.map(({ function: { name, description = '', parameters } }) => ({
            name,
            description,
            ...(parameters === undefined ? {} : { input_schema: parameters }),
          })),
    response_format: formatField(body.format),
    thinking: thinkField(body.think),
  });
}

/**
 * Ollama's messages name no call; results come in the order of the calls that they answer, so calls get the numbers
 * that results then count through.
 */
function toTurns(messages: readonly ApiMessage[], attachments: Attachments): readonly Turn[] {
  let calls = 0;
  let results = 0;
  return messages.map((one): Turn => {
    if (one.role === 'tool') {
      const id = one.tool_call_id ?? callId(results);
      results += 1;
      return { role: 'user', content: [{ type: 'tool_result', tool_call_id: id, content: one.content }] };
    }
    const blocks: ContentBlock[] = [
      ...(one.thinking === undefined || one.thinking === ''
        ? []
        : [{ type: 'thinking' as const, text: one.thinking }]),
      ...(one.images ?? []).map((data) => attachments.add('image', data)),
      ...(one.content === '' ? [] : [{ type: 'text' as const, text: one.content }]),
      ...(one.tool_calls ?? []).map(({ id, function: { name, arguments: input } }) => {
        const block = { type: 'tool_use' as const, tool_call_id: id ?? callId(calls), name, input };
        calls += 1;
        return block;
      }),
    ];
    return turn(one.role, blocks);
  });
}

function callId(index: number): string {
  return `call_${index}`;
}

function toolCall({ id, name, arguments: text }: ToolCall) {
  return { id, function: { name, arguments: JSON.parse(text) as unknown } };
}

function message(fields: object) {
  return { message: { role: 'assistant', ...fields } };
}
