import * as z from 'zod';
import { unsupported } from '../api-error.js';
import type { ServedModel } from '../models.js';

/**
 * What Ollama's requests say of sampling, and of a runner. What would load the model anew is not taken: the model stays
 * as it is, whatever a request asks (a context that it has anyway is no such thing).
 */
export const optionsSchema = z.strictObject({
  temperature: z.number().optional(),
  top_p: z.number().optional(),
  top_k: z.int().optional(),
  min_p: z.number().optional(),
  typical_p: z.number().optional(),
  seed: z.int().optional(),
  num_predict: z.int().optional(),
  stop: z.union([z.string(), z.array(z.string())]).optional(),
  repeat_penalty: z.number().optional(),
  repeat_last_n: z.int().optional(),
  presence_penalty: z.number().optional(),
  frequency_penalty: z.number().optional(),
  mirostat: z.int().optional(),
  mirostat_tau: z.number().optional(),
  mirostat_eta: z.number().optional(),
  num_ctx: z.int().optional(),
});
type Options = z.output<typeof optionsSchema>;

/** The options in the protocol's words. @throws ApiError for a context that the model does not have. */
export function optionFields(options: Options, model: ServedModel): Readonly<Record<string, unknown>> {
  const { seed, stop, num_predict: predict, num_ctx: context, ...same } = options;
  if (context !== undefined && context > model.contextSize) {
    throw unsupported(
      'options.num_ctx',
      `The model runs with ${model.contextSize} tokens of context; ask for at most that.`,
    );
  }
  return {
    ...same,
    seed: seed === undefined ? undefined : seed >>> 0,
    stop: typeof stop === 'string' ? [stop] : stop,
    // Below zero stands for no bound there.
    max_tokens: predict === undefined || predict < 0 ? model.maxTokens : Math.max(1, predict),
  };
}

/** What `format` asks of the answer: JSON, or JSON of a schema. */
export const formatSchema = z.union([z.literal('json'), z.literal(''), z.record(z.string(), z.unknown())]);

export function formatField(format: z.output<typeof formatSchema> | undefined): unknown {
  if (format === undefined || format === '') return undefined;
  return format === 'json' ? { type: 'json_object' } : { type: 'json_schema', schema: format };
}

/** `true` or a level of effort; a model has one way of thinking here. */
export const thinkSchema = z.union([z.boolean(), z.enum(['low', 'medium', 'high'])]);

export function thinkField(think: z.output<typeof thinkSchema> | undefined): boolean | undefined {
  return typeof think === 'string' ? true : think;
}
