import { z } from 'zod';
import { HearthError } from './errors.js';
import { limits } from './limits.js';
import { utf8Length } from './text.js';

/**
 * The request of NDJSON v1 and its additions. Field names are those of the wire; unknown fields are ignored.
 * Source: behaviours.md 1.2.
 */

const u32 = z.int().min(0).max(4_294_967_295);

export const roleSchema = z.enum(['system', 'user', 'assistant']);
export type Role = z.infer<typeof roleSchema>;

export const messageSchema = z.object({ role: roleSchema, content: z.string() });
/** One turn of a conversation. */
export type Message = z.infer<typeof messageSchema>;

/** Marks in the JSON Schema what is newer than version 1 as it was first published. */
export const additionNote = 'Addition to version 1.';

/** Classes of work, the most urgent first. */
export const jobClasses = ['interactive', 'chat', 'background'] as const;
export type JobClass = (typeof jobClasses)[number];

const imageTokenBudgets = [70, 140, 280, 560, 1120] as const;

/** What sampling uses where a request is silent (row 17). */
export const samplingDefaults = {
  temperature: 1.0,
  top_p: 0.95,
  top_k: 64,
  max_tokens: 1000,
  stream: true,
} as const;

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
    temperature: z
      .number()
      .min(0)
      .max(100)
      .optional()
      .meta({ default: samplingDefaults.temperature, description: '0 takes the likeliest token.' }),
    top_p: z
      .number()
      .min(0)
      .max(1)
      .optional()
      .meta({ default: samplingDefaults.top_p, description: '1 switches it off.' }),
    top_k: u32.optional().meta({ default: samplingDefaults.top_k, description: '0 switches it off.' }),
    max_tokens: u32
      .min(1)
      .optional()
      .meta({ default: samplingDefaults.max_tokens, description: 'Most tokens of the answer.' }),
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
    seed: u32.optional().meta({
      $comment: additionNote,
      description: 'Equal seeds give equal text for equal requests. Absent: a random one.',
    }),
    min_p: z.number().min(0).max(1).optional().meta({
      $comment: additionNote,
      default: 0,
      description: 'Least probability of a token relative to the likeliest. 0 switches it off.',
    }),
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
  })
  .superRefine((request, context) => {
    if (request.messages !== undefined && request.prompt !== undefined) {
      context.addIssue({
        code: 'custom',
        path: ['prompt'],
        message: 'give either messages or prompt, not both',
      });
    }
    if (request.messages === undefined && request.prompt === undefined) {
      context.addIssue({ code: 'custom', path: ['messages'], message: 'messages must not be empty' });
    }
    if (request.suffix !== undefined && request.prompt === undefined) {
      context.addIssue({ code: 'custom', path: ['suffix'], message: 'suffix needs prompt' });
    }
  })
  // The same in JSON Schema's words, which the refinement cannot give.
  .meta({
    oneOf: [{ required: ['messages'] }, { required: ['prompt'] }],
    dependentRequired: { suffix: ['prompt'] },
  });

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
  | { readonly kind: 'chat'; readonly messages: readonly Message[] }
  | { readonly kind: 'raw'; readonly prompt: string }
  | { readonly kind: 'infill'; readonly prefix: string; readonly suffix: string };

/** Sampling with every default filled in. Engines see only this form. */
export interface Sampling {
  /** 0: greedy. */
  readonly temperature: number;
  readonly topP: number;
  /** 0: off. */
  readonly topK: number;
  /** 0: off. */
  readonly minP: number;
  readonly seed: number | undefined;
  readonly maxTokens: number;
  readonly stop: readonly string[];
  /** GBNF, or undefined for no constraint. */
  readonly grammar: string | undefined;
}

/** A request with every default filled in: what engines see. */
export interface ResolvedGeneration {
  readonly input: GenerationInput;
  readonly sampling: Sampling;
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

/** Fills in the defaults (row 17). */
export function resolveGeneration(request: GenerateRequest): ResolvedGeneration {
  return {
    input: toInput(request),
    sampling: {
      temperature: request.temperature ?? samplingDefaults.temperature,
      topP: request.top_p ?? samplingDefaults.top_p,
      topK: request.top_k ?? samplingDefaults.top_k,
      minP: request.min_p ?? 0,
      seed: request.seed,
      maxTokens: request.max_tokens ?? samplingDefaults.max_tokens,
      stop: request.stop ?? [],
      grammar: request.grammar === '' ? undefined : request.grammar,
    },
  };
}

function toInput(request: GenerateRequest): GenerationInput {
  if (request.messages !== undefined) return { kind: 'chat', messages: request.messages };
  const prompt = request.prompt ?? '';
  if (request.suffix === undefined) return { kind: 'raw', prompt };
  return { kind: 'infill', prefix: prompt, suffix: request.suffix };
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
