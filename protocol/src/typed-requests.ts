import * as z from 'zod';
import { limits } from './limits.js';
import { jobClasses } from './request.js';
import { utf8Length } from './text.js';

/**
 * Requests that ask for something other than a generation: an object with a `type` on the inference socket, answered
 * by exactly one frame. Additions to version 1. Shapes of `embed` and `rerank`: behaviours.md 1.4.
 */

const u32 = z.int().min(0).max(4_294_967_295);

const common = {
  id: z.string().max(limits.idLength).default('').meta({ description: 'Echoed on the answer.' }),
  model: z
    .string()
    .min(1)
    .max(256)
    .optional()
    .meta({ description: 'Name of a model. Absent: the default one for the purpose.' }),
  class: z.enum(jobClasses).optional().meta({ default: 'chat' }),
  deadline_ms: z.int().min(1).max(limits.deadlineMs).optional(),
  /** True: errors with all that is known. */
  events: z.boolean().optional().meta({ default: false }),
};

/** What an embedding is for. Models that were trained with prompts for it are given the fitting one. */
export const embedTasks = [
  'retrieval_query',
  'retrieval_document',
  'similarity',
  'classification',
  'clustering',
  'question_answering',
  'fact_verification',
  'code_retrieval_query',
] as const;

export const embedRequestSchema = z.object({
  type: z.literal('embed'),
  ...common,
  input: z
    .array(z.string().min(1, 'an input must not be empty'))
    .min(1, 'input must not be empty')
    .max(limits.embedInputs),
  dimensions: u32.min(1).optional().meta({ description: 'Cut vectors to so many numbers. Absent: all.' }),
  task: z.enum(embedTasks).optional(),
});
export type EmbedRequest = z.output<typeof embedRequestSchema>;

export const rerankRequestSchema = z
  .object({
    type: z.literal('rerank'),
    ...common,
    query: z.string().min(1, 'query must not be empty'),
    documents: z.array(z.string()).min(1, 'documents must not be empty').max(limits.rerankDocuments),
    top_n: u32.min(1).optional().meta({ description: 'Most results. Absent: all.' }),
  })
  .refine(
    ({ query, documents }) =>
      documents.reduce((sum, document) => sum + utf8Length(document), utf8Length(query)) <=
      limits.rerankBytes,
    { path: ['documents'], message: `query and documents must be at most ${limits.rerankBytes} bytes` },
  );
export type RerankRequest = z.output<typeof rerankRequestSchema>;

export const tokenizeRequestSchema = z.object({
  type: z.literal('tokenize'),
  ...common,
  content: z.string().refine((text) => utf8Length(text) <= limits.tokenizeBytes, {
    message: `content must be at most ${limits.tokenizeBytes} bytes`,
  }),
});
export type TokenizeRequest = z.output<typeof tokenizeRequestSchema>;

export const detokenizeRequestSchema = z.object({
  type: z.literal('detokenize'),
  ...common,
  tokens: z.array(z.int().min(0).max(2_147_483_647)).max(limits.detokenizeTokens),
});
export type DetokenizeRequest = z.output<typeof detokenizeRequestSchema>;

export const typedRequestSchema = z.discriminatedUnion('type', [
  embedRequestSchema,
  rerankRequestSchema,
  tokenizeRequestSchema,
  detokenizeRequestSchema,
]);
/** As a client writes it, before defaults. */
export type TypedRequestInput = z.input<typeof typedRequestSchema>;
/** One that has been checked. */
export type TypedRequest = z.output<typeof typedRequestSchema>;

const answer = {
  id: z.string(),
  model: z.string(),
  /** Name of the backend that served. For diagnosis; never branch on it. */
  backend: z.string(),
};
const inputUsage = z.object({ input_tokens: u32 });

export const embeddingsFrameSchema = z.object({
  type: z.literal('embeddings'),
  ...answer,
  /** One for each input, in their order; of length 1 each. */
  embeddings: z.array(z.array(z.number())),
  dimensions: u32,
  usage: inputUsage,
});
export const rerankFrameSchema = z.object({
  type: z.literal('rerank'),
  ...answer,
  /** The best first; of equal ones the earlier first. Scores compare within one answer only. */
  results: z.array(z.object({ index: u32, score: z.number() })),
  usage: inputUsage,
});
export const tokensFrameSchema = z.object({ type: z.literal('tokens'), ...answer, tokens: z.array(u32) });
export const textFrameSchema = z.object({ type: z.literal('text'), ...answer, content: z.string() });
/** What a request with `dry_run` gives. */
export const renderedFrameSchema = z.object({
  type: z.literal('rendered'),
  ...answer,
  /** The prompt, with the marks of the model's template. */
  prompt: z.string(),
  prompt_tokens: u32,
  /** The grammar that the answer would be held to, where there is one. */
  grammar: z.string().optional(),
});
