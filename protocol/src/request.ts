import * as z from 'zod';
import {
  type ChatMessage,
  type InfillFile,
  type OutputFormat,
  type ToolChoice,
  type ToolDefinition,
  attachmentSchema,
  contentMistakes,
  infillFileSchema,
  messageSchema,
  responseFormatSchema,
  toChatMessage,
  toolChoiceSchema,
  toolSchema,
} from './content.js';
import { HearthError } from './errors.js';
import { limits } from './limits.js';
import {
  type Sampling,
  additionNote,
  resolveSampling,
  samplingAdditions,
  samplingDefaults,
  samplingFields,
} from './sampling.js';
import { utf8Length } from './text.js';

/**
 * The request of NDJSON v1 and its additions. Field names are those of the wire; unknown fields are ignored.
 * Source: behaviours.md 1.2 and 1.3.
 */

const u32 = z.int().min(0).max(4_294_967_295);

/** Classes of work, the most urgent first. */
export const jobClasses = ['interactive', 'chat', 'background'] as const;
export type JobClass = (typeof jobClasses)[number];

const imageTokenBudgets = [70, 140, 280, 560, 1120] as const;

/** The version of typed content and typed replies (behaviours.md 1.3). */
export const typedWireVersion = 1;

export const generateRequestSchema = z
  .object({
    id: z
      .string()
      .max(limits.idLength)
      .default('')
      .meta({ description: 'Chosen by the client and echoed on every frame.' }),
    messages: z
      .array(messageSchema)
      .min(1, 'messages must not be empty')
      .max(limits.messages)
      .optional()
      .meta({ description: 'The conversation. Required unless `prompt` is given.' }),
    ...samplingFields,
    stream: z
      .boolean()
      .optional()
      .meta({ default: samplingDefaults.stream, description: 'False: no `token` frames, only `done`.' }),
    image_token_budget: u32
      .refine((value) => (imageTokenBudgets as readonly number[]).includes(value), {
        message: `image_token_budget must be one of ${imageTokenBudgets.join(', ')}`,
      })
      .optional()
      .meta({
        enum: imageTokenBudgets,
        description: 'Accepted and of no effect: there are no images in version 1.',
      }),
    grammar: z
      .string()
      .refine((grammar) => utf8Length(grammar) <= limits.grammarBytes, {
        message: `grammar must be at most ${limits.grammarBytes} bytes`,
      })
      .refine((grammar) => countAlternations(grammar) <= limits.grammarAlternations, {
        message: `grammar must have at most ${limits.grammarAlternations} alternations`,
      })
      .optional()
      .meta({
        description: `GBNF, at most ${limits.grammarBytes} bytes and ${limits.grammarAlternations} alternations. Empty: unconstrained.`,
      }),
    model: z
      .string()
      .min(1)
      .max(256)
      .optional()
      .meta({ $comment: additionNote, description: 'Name of a model. Absent: the default model.' }),
    ...samplingAdditions,
    stop: z.array(z.string().min(1).max(limits.stopLength)).max(limits.stopStrings).optional().meta({
      $comment: additionNote,
      default: [],
      description: 'Texts that end the generation; they are not part of it.',
    }),
    class: z.enum(jobClasses).optional().meta({
      $comment: additionNote,
      default: 'chat',
      description: 'What it is for: `interactive` goes before `chat`, and `chat` before `background`.',
    }),
    supersede_key: z.string().min(1).max(limits.idLength).optional().meta({
      $comment: additionNote,
      description: 'A newer request of the same client with the same key ends this one.',
    }),
    deadline_ms: z.int().min(1).max(limits.deadlineMs).optional().meta({
      $comment: additionNote,
      description: 'Milliseconds after which the answer is of no use; the request then ends.',
    }),
    events: z.boolean().optional().meta({
      $comment: additionNote,
      default: false,
      description: 'True: frames that tell of waiting, and errors with all that is known.',
    }),
    prompt: z
      .string()
      .optional()
      .meta({ $comment: additionNote, description: 'Raw text to continue, in place of `messages`.' }),
    suffix: z.string().optional().meta({
      $comment: additionNote,
      description: 'With `prompt`: the text after the cursor. Asks for fill-in-the-middle.',
    }),
    files: z.array(infillFileSchema).max(limits.infillFiles).optional().meta({
      $comment: additionNote,
      default: [],
      description: 'With `suffix`: files of the repository to look at, the least related first.',
    }),
    wire_version: u32.optional().meta({
      $comment: additionNote,
      description: `Asks for typed replies (\`frame\` with blocks). Must be ${typedWireVersion}.`,
    }),
    attachments: z
      .array(attachmentSchema)
      .max(limits.attachments)
      .optional()
      .meta({ $comment: additionNote, default: [], description: 'Data that blocks of messages name.' }),
    tools: z
      .array(toolSchema)
      .max(limits.tools)
      .optional()
      .meta({ $comment: additionNote, default: [], description: 'Tools that the model may call.' }),
    tool_choice: toolChoiceSchema.optional().meta({
      $comment: additionNote,
      default: 'auto',
      description:
        'Whether the model may call a tool, must not, must, or must call the one that is named. Needs `tools`.',
    }),
    parallel_tool_calls: z.boolean().optional().meta({
      $comment: additionNote,
      default: true,
      description: 'False: at most one call an answer.',
    }),
    response_format: responseFormatSchema.optional().meta({
      $comment: additionNote,
      default: { type: 'text' },
      description: 'JSON, or JSON of a schema, enforced while it is written. Not with `tools` or `grammar`.',
    }),
    thinking: z.boolean().optional().meta({
      $comment: additionNote,
      description: 'Whether a model that can is to think first. Absent: as its template has it.',
    }),
    thinking_budget: u32.optional().meta({
      $comment: additionNote,
      description: 'Most tokens of thinking; the model is then made to answer.',
    }),
    cache_scope: z.enum(['shared', 'client']).optional().meta({
      $comment: additionNote,
      default: 'shared',
      description:
        "`client`: the KV cache of this request serves no other client, and no other client's serves it.",
    }),
    cache_key: z.string().min(1).max(limits.idLength).optional().meta({
      $comment: additionNote,
      description: 'Requests with the same key go to the same service where there are several.',
    }),
    resume: z.boolean().optional().meta({
      $comment: additionNote,
      default: false,
      description:
        'True: where the engine dies in mid-stream, the stream goes on from the last token once it is back.',
    }),
    dry_run: z.boolean().optional().meta({
      $comment: additionNote,
      default: false,
      description: 'True: nothing is generated; the answer is the prompt as the model would get it.',
    }),
  })
  .superRefine((request, context) => {
    for (const { path, message } of requestMistakes(request)) {
      context.addIssue({ code: 'custom', path: [...path], message });
    }
  })
  // The same in JSON Schema's words, which the refinement cannot give.
  .meta({
    oneOf: [{ required: ['messages'] }, { required: ['prompt'] }],
    dependentRequired: { suffix: ['prompt'], files: ['suffix'], tools: ['messages'], tool_choice: ['tools'] },
  });

type Checked = Parameters<typeof contentMistakes>[0] & {
  readonly prompt?: string | undefined;
  readonly suffix?: string | undefined;
  readonly files?: readonly unknown[] | undefined;
  readonly tool_choice?: z.output<typeof toolChoiceSchema> | undefined;
  readonly response_format?: { readonly type: string } | undefined;
  readonly grammar?: string | undefined;
};

/** Fields that do not go together, or that lack another. */
function requestMistakes(request: Checked): ReturnType<typeof contentMistakes> {
  const { messages, prompt, suffix, files, tools = [], tool_choice: choice, grammar = '' } = request;
  const format = request.response_format?.type ?? 'text';
  const rules: readonly (readonly [boolean, string, string])[] = [
    [messages !== undefined && prompt !== undefined, 'prompt', 'give either messages or prompt, not both'],
    [messages === undefined && prompt === undefined, 'messages', 'messages must not be empty'],
    [suffix !== undefined && prompt === undefined, 'suffix', 'suffix needs prompt'],
    [files !== undefined && suffix === undefined, 'files', 'files needs suffix'],
    [tools.length > 0 && messages === undefined, 'tools', 'tools needs messages'],
    [choice !== undefined && tools.length === 0, 'tool_choice', 'tool_choice needs tools'],
    [
      typeof choice === 'object' && tools.length > 0 && !tools.some(({ name }) => name === choice.name),
      'tool_choice',
      'tool_choice names a tool that is not among tools',
    ],
    [
      choice !== undefined && choice !== 'none' && format !== 'text',
      'tool_choice',
      'tool_choice and response_format exclude each other',
    ],
    [
      grammar !== '' && (format !== 'text' || (tools.length > 0 && choice !== 'none')),
      'grammar',
      'grammar excludes response_format and tools',
    ],
  ];
  return [
    ...rules.flatMap(([wrong, field, message]) => (wrong ? [{ path: [field], message }] : [])),
    ...contentMistakes(request),
  ];
}

/** Ends another request of the same connection. An addition to version 1. */
export const cancelRequestSchema = z.object({
  type: z.literal('cancel'),
  id: z.string().max(limits.idLength).default('').meta({ description: 'Echoed on the answer.' }),
  target: z.string().max(limits.idLength).meta({ description: 'The id of the request that is to end.' }),
});
export type CancelRequest = z.output<typeof cancelRequestSchema>;

/** A request as a client writes it, before defaults. */
export type GenerateRequestInput = z.input<typeof generateRequestSchema>;
/** A request that has been checked, before defaults. */
export type GenerateRequest = z.output<typeof generateRequestSchema>;

/** What is to be continued. `infill` asks for the text between `prefix` and `suffix`. */
export type GenerationInput =
  | ChatInput
  | { readonly kind: 'raw'; readonly prompt: string }
  | {
      readonly kind: 'infill';
      readonly prefix: string;
      readonly suffix: string;
      /** The least related first. */
      readonly files: readonly InfillFile[];
    };

export interface ChatInput {
  readonly kind: 'chat';
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly ToolDefinition[];
  readonly toolChoice: ToolChoice;
  readonly parallelToolCalls: boolean;
  /** Undefined: as the model's template has it. */
  readonly thinking: boolean | undefined;
  /** In tokens; undefined: none. */
  readonly thinkingBudget: number | undefined;
}

/** A request with every default filled in: what engines see. */
export interface ResolvedGeneration {
  readonly input: GenerationInput;
  readonly sampling: Sampling;
  readonly format: OutputFormat;
  /** Whose KV cache may serve it and may be served by it; undefined: everyone's. */
  readonly cacheScope: string | undefined;
  /** Whether the stream goes on where the engine dies in mid-stream. Absent: no. */
  readonly resume?: boolean;
  /** Whose prompt is evaluated first where several are to be. Absent: `chat`. */
  readonly class?: JobClass;
}

const v1Fields: ReadonlySet<string> = new Set([
  'id',
  'messages',
  'temperature',
  'top_p',
  'top_k',
  'max_tokens',
  'stream',
  'image_token_budget',
  'grammar',
]);

/** Whether `request` has anything that is newer than version 1: its answer may then have it too. */
export function usesAdditions(request: GenerateRequest): boolean {
  return (
    Object.entries(request).some(([name, value]) => value !== undefined && !v1Fields.has(name)) ||
    (request.messages ?? []).some(({ content }) => typeof content !== 'string')
  );
}

/**
 * Checks a decoded JSON value against the request schema.
 *
 * @throws HearthError `invalid_request` that names each wrong field and never quotes its value.
 */
export function parseGenerateRequest(value: unknown): GenerateRequest {
  const result = generateRequestSchema.safeParse(value);
  if (result.success) return result.data;
  throw new HearthError('invalid_request', describeIssues(result.error));
}

/**
 * Fills in the defaults (row 17).
 *
 * @param client whose request it is, where its KV cache is to be kept apart
 */
export function resolveGeneration(request: GenerateRequest, client = ''): ResolvedGeneration {
  return {
    input: toInput(request),
    sampling: resolveSampling(request, request.stop ?? []),
    format: toFormat(request),
    cacheScope: request.cache_scope === 'client' ? client : undefined,
    ...(request.resume === true ? { resume: true } : {}),
    ...(request.class === undefined ? {} : { class: request.class }),
  };
}

function toInput(request: GenerateRequest): GenerationInput {
  const { messages, attachments = [], prompt = '', suffix, files = [] } = request;
  if (messages !== undefined) {
    return {
      kind: 'chat',
      messages: messages.map((message) => toChatMessage(message, attachments)),
      tools: request.tools ?? [],
      toolChoice: toToolChoice(request),
      parallelToolCalls: request.parallel_tool_calls ?? true,
      thinking: request.thinking,
      thinkingBudget: request.thinking_budget,
    };
  }
  if (suffix === undefined) return { kind: 'raw', prompt };
  return { kind: 'infill', prefix: prompt, suffix, files };
}

function toToolChoice({ tools = [], tool_choice: choice }: GenerateRequest): ToolChoice {
  if (tools.length === 0) return { kind: 'none' };
  if (typeof choice === 'object') return { kind: 'named', name: choice.name };
  return { kind: choice ?? 'auto' };
}

function toFormat({ grammar = '', response_format: format }: GenerateRequest): OutputFormat {
  if (grammar !== '') return { kind: 'gbnf', grammar };
  switch (format?.type) {
    case 'json_object':
      return { kind: 'json' };
    case 'json_schema':
      return { kind: 'json_schema', schema: format.schema };
    case 'text':
    case undefined:
      return { kind: 'text' };
  }
}

/** One line that names every wrong field, without the values that were wrong. */
export function describeIssues(error: z.ZodError): string {
  const issues = error.issues.map((issue) => {
    const path = issue.path.map(String).join('.');
    return path === '' || issue.message.startsWith(path) ? issue.message : `${path}: ${issue.message}`;
  });
  return issues.slice(0, 8).join('; ');
}

function countAlternations(text: string): number {
  let count = 0;
  for (const character of text) if (character === '|') count += 1;
  return count;
}
