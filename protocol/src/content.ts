import * as z from 'zod';
import { limits } from './limits.js';

/**
 * What a conversation is made of: roles, typed content, attachments and tools. Source: behaviours.md 1.2 (plain text)
 * and 1.3 (typed content, by its meaning on NDJSON).
 */

export const roleSchema = z.enum(['system', 'user', 'assistant']);
export type Role = z.infer<typeof roleSchema>;

/** A call's id, chosen by whoever made the call; a result names it. */
const toolCallId = z.string().min(1).max(limits.idLength);
/** What every API that we speak allows. */
export const toolNamePattern = /^[A-Za-z0-9_-]{1,64}$/;
const toolName = z.string().regex(toolNamePattern, 'a tool name is 1 to 64 letters, digits, _ or -');
const attachmentId = z.string().min(1).max(limits.idLength);

const textBlockSchema = z.object({ type: z.literal('text'), text: z.string() });
const thinkingBlockSchema = z.object({ type: z.literal('thinking'), text: z.string() });
const mediaBlockSchema = z.object({
  type: z.enum(['image', 'audio', 'video']),
  attachment_id: attachmentId,
});
const toolUseBlockSchema = z.object({
  type: z.literal('tool_use'),
  tool_call_id: toolCallId,
  name: toolName,
  /** The arguments, as the tool's schema describes them. */
  input: z.record(z.string(), z.unknown()),
});
const toolResultBlockSchema = z.object({
  type: z.literal('tool_result'),
  tool_call_id: toolCallId,
  content: z.union([z.string(), z.array(textBlockSchema).max(limits.blocks)]),
});
const knownBlockSchema = z.discriminatedUnion('type', [
  textBlockSchema,
  thinkingBlockSchema,
  mediaBlockSchema,
  toolUseBlockSchema,
  toolResultBlockSchema,
]);
const knownTypes = ['text', 'thinking', 'image', 'audio', 'video', 'tool_use', 'tool_result'];
/** A block of a type that is not known here is accepted and ignored (row 30). */
const unknownBlockSchema = z
  .looseObject({
    type: z.string().refine((type) => !knownTypes.includes(type), 'the block lacks what its type asks for'),
  })
  .transform(() => ({ type: 'unknown' as const }));

export const contentBlockSchema = z.union([knownBlockSchema, unknownBlockSchema]);

export const messageSchema = z.object({
  role: roleSchema,
  content: z
    .union([z.string(), z.array(contentBlockSchema).min(1, 'content must not be empty').max(limits.blocks)])
    .meta({
      description:
        'Text, or blocks of typed content (an addition to version 1). Blocks of unknown type are ignored.',
    }),
});
/** One turn of a conversation, as it is on the wire. */
export type Message = z.infer<typeof messageSchema>;

export const attachmentSchema = z.object({
  id: attachmentId,
  kind: z.enum(['image', 'audio', 'video']),
  len: z.int().min(1).meta({ description: 'Bytes of `data` once decoded.' }),
  data: z.string().meta({ description: 'Base64 of an image file (PNG, JPEG, …) or of audio.' }),
});
/** Data that blocks of a message refer to by id. */
export type Attachment = z.infer<typeof attachmentSchema>;

export const toolSchema = z.object({
  name: toolName,
  description: z.string().max(limits.toolDescription).default(''),
  input_schema: z
    .record(z.string(), z.unknown())
    .default({ type: 'object' })
    .meta({ description: 'JSON Schema of the arguments; the subset that PROTOCOL.md states.' }),
});
export type ToolDefinition = z.output<typeof toolSchema>;

export const toolChoiceSchema = z.union([
  z.enum(['auto', 'none', 'required']),
  z.object({ name: toolName }).meta({ description: 'This tool must be called.' }),
]);

export const responseFormatSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({ type: z.literal('json_schema'), schema: z.record(z.string(), z.unknown()) }),
]);

/** A file of the repository that fill-in-the-middle may look at. */
export const infillFileSchema = z.object({
  path: z.string().min(1).max(limits.filePath).meta({ description: 'As the model is to see it.' }),
  content: z.string(),
});
export type InfillFile = z.infer<typeof infillFileSchema>;

/** A block as engines see it: every kind known, every reference resolved. */
export type ContentBlock =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'thinking'; readonly text: string }
  | { readonly kind: 'media'; readonly medium: Attachment['kind']; readonly data: string }
  | { readonly kind: 'tool_use'; readonly id: string; readonly name: string; readonly input: object }
  | { readonly kind: 'tool_result'; readonly id: string; readonly text: string };

/** A turn as engines see it. Plain text is one text block; a turn of unknown blocks alone has none. */
export interface ChatMessage {
  readonly role: Role;
  readonly content: readonly ContentBlock[];
}

export type ToolChoice =
  | { readonly kind: 'auto' }
  | { readonly kind: 'none' }
  | { readonly kind: 'required' }
  | { readonly kind: 'named'; readonly name: string };

/** A call that the model made. */
export interface ToolCall {
  readonly id: string;
  readonly name: string;
  /** A JSON object, as text. */
  readonly arguments: string;
}

/** What the answer must look like. */
export type OutputFormat =
  | { readonly kind: 'text' }
  | { readonly kind: 'gbnf'; readonly grammar: string }
  | { readonly kind: 'json' }
  | { readonly kind: 'json_schema'; readonly schema: Readonly<Record<string, unknown>> };

/** `message` with its references resolved; {@link contentMistakes} has found none. */
export function toChatMessage(message: Message, attachments: readonly Attachment[]): ChatMessage {
  const { role, content } = message;
  if (typeof content === 'string') return { role, content: [{ kind: 'text', text: content }] };
  return { role, content: content.flatMap((block) => toBlock(block, attachments)) };
}

function toBlock(
  block: z.output<typeof contentBlockSchema>,
  attachments: readonly Attachment[],
): ContentBlock[] {
  switch (block.type) {
    case 'text':
    case 'thinking':
      return [{ kind: block.type, text: block.text }];
    case 'tool_use':
      return [{ kind: 'tool_use', id: block.tool_call_id, name: block.name, input: block.input }];
    case 'tool_result': {
      const { content } = block;
      const text = typeof content === 'string' ? content : content.map((part) => part.text).join('');
      return [{ kind: 'tool_result', id: block.tool_call_id, text }];
    }
    case 'unknown':
      return [];
    case 'image':
    case 'audio':
    case 'video': {
      const attachment = attachments.find(({ id }) => id === block.attachment_id);
      return attachment === undefined ? [] : [{ kind: 'media', medium: block.type, data: attachment.data }];
    }
  }
}

/** A mistake in a request: which field, and what is wrong with it. Holds nothing that the client wrote. */
export interface Mistake {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/**
 * What is wrong with how messages, attachments and tools fit together (rows 30, 32, 33). Each reference must resolve to exactly one attachment of the right
 * kind, and each attachment must be as long as it says.
 */
export function contentMistakes(request: {
  readonly messages?: readonly Message[] | undefined;
  readonly attachments?: readonly Attachment[] | undefined;
  readonly tools?: readonly ToolDefinition[] | undefined;
}): readonly Mistake[] {
  const { messages = [], attachments = [], tools = [] } = request;
  return [
    ...attachmentMistakes(attachments),
    ...referenceMistakes(messages, attachments),
    ...repeated(tools.map(({ name }) => name)).map((index) => ({
      path: ['tools', index],
      message: 'two tools have this name',
    })),
  ];
}

function attachmentMistakes(attachments: readonly Attachment[]): readonly Mistake[] {
  const twice = repeated(attachments.map(({ id }) => id)).map((index) => ({
    path: ['attachments', index],
    message: 'two attachments have this id',
  }));
  const wrongLength = attachments.flatMap(({ len, data }, index) =>
    base64Length(data) === len
      ? []
      : [{ path: ['attachments', index], message: 'data is not base64 of len bytes' }],
  );
  return [...twice, ...wrongLength];
}

function referenceMistakes(
  messages: readonly Message[],
  attachments: readonly Attachment[],
): readonly Mistake[] {
  const kinds = new Map(attachments.map(({ id, kind }) => [id, kind]));
  return messages.flatMap(({ content }, message) => {
    if (typeof content === 'string') return [];
    return content.flatMap((block, index) => {
      if (!('attachment_id' in block) || kinds.get(block.attachment_id) === block.type) return [];
      return [
        {
          path: ['messages', message, 'content', index],
          message: `no ${block.type} attachment has the id that the block names`,
        },
      ];
    });
  });
}

/** Indexes of the items that stood before. */
function repeated(items: readonly string[]): readonly number[] {
  const seen = new Set<string>();
  return items.flatMap((item, index) => {
    if (seen.has(item)) return [index];
    seen.add(item);
    return [];
  });
}

const base64Pattern = /^[A-Za-z0-9+/]*={0,2}$/;

/** Bytes that `text` stands for; undefined where it is no base64 in whole groups of four. */
function base64Length(text: string): number | undefined {
  if (text.length % 4 !== 0 || !base64Pattern.test(text)) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  return (text.length / 4) * 3 - padding;
}
