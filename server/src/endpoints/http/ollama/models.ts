import { limits } from '@hearth/protocol';
import { z } from 'zod';
import { ApiError } from '../api-error.js';
import { answerJson, type Exchange, readJson } from '../exchange.js';
import { type ListedModel, listModels } from '../models.js';
import { readFields } from '../read-fields.js';
import { embed } from '../typed.js';
import { nanoseconds } from './answer.js';
import { plainName } from './chat.js';
import { optionsSchema } from './options.js';

/** `GET /api/tags` */
export function tags(exchange: Exchange): void {
  answerJson(exchange, { models: listModels(exchange.daemon).map(tagged) });
}

/** `GET /api/ps`: the models that are in memory. */
export function running(exchange: Exchange): void {
  const models = listModels(exchange.daemon)
    .filter(({ state }) => state === 'ready')
    .map((model) => ({
      ...tagged(model),
      // They stay for as long as the daemon does.
      expires_at: '9999-12-31T23:59:59Z',
      size_vram: 0,
      context_length: model.contextSize,
    }));
  answerJson(exchange, { models });
}

const showSchema = z.strictObject({
  model: z.string().max(256).optional(),
  name: z.string().max(256).optional(),
  verbose: z.boolean().optional(),
});

/** `POST /api/show` */
export async function show(exchange: Exchange): Promise<void> {
  const body = readFields(showSchema, await readJson(exchange));
  const name = plainName(body.model ?? body.name ?? '');
  const models = listModels(exchange.daemon);
  const model =
    name === undefined ? models[0] : models.find(({ id, backend }) => id === name || backend === name);
  if (model === undefined)
    throw new ApiError(404, 'model_not_found', 'There is no such model: see /api/tags.');
  answerJson(exchange, {
    modelfile: '',
    parameters: '',
    template: '',
    details: tagged(model).details,
    model_info: { 'general.basename': model.displayName, 'hearth.context_length': model.contextSize },
    capabilities: ['completion', ...(model.infill ? ['insert'] : [])],
  });
}

const embedSchema = z.strictObject({
  model: z.string().max(256),
  input: z.union([z.string(), z.array(z.string()).max(limits.embedInputs)]),
  truncate: z.boolean().optional(),
  dimensions: z.int().min(1).optional(),
  options: optionsSchema.optional(),
  keep_alive: z.union([z.string(), z.number()]).optional(),
});

/** `POST /api/embed` */
export async function embedding(exchange: Exchange): Promise<void> {
  const since = performance.now();
  const body = readFields(embedSchema, await readJson(exchange));
  const input = typeof body.input === 'string' ? [body.input] : body.input;
  const answer = await embed(exchange, { model: plainName(body.model), input, dimensions: body.dimensions });
  answerJson(exchange, {
    model: body.model,
    embeddings: answer.vectors,
    total_duration: nanoseconds(performance.now() - since),
    load_duration: 0,
    prompt_eval_count: answer.inputTokens,
  });
}

/** `GET /api/version`: Hearth's own. */
export function version(exchange: Exchange): void {
  answerJson(exchange, { version: exchange.daemon.health().version });
}

function tagged({ id, sizeBytes }: ListedModel) {
  return {
    name: id,
    model: id,
    modified_at: '1970-01-01T00:00:00Z',
    size: sizeBytes,
    digest: '',
    details: {
      parent_model: '',
      format: 'gguf',
      family: '',
      families: [],
      parameter_size: '',
      quantization_level: '',
    },
  };
}
