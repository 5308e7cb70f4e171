import { limits } from '@hearth/protocol';
import * as z from 'zod';
import { answerJson, type Exchange, readJson } from '../exchange.js';
import { type ListedModel, listModels } from '../models.js';
import { readFields } from '../read-fields.js';
import { embed } from '../typed.js';
import { nanoseconds } from './answer.js';
import { plainName } from './chat.js';
import { optionsSchema } from './options.js';
import { detailsOf } from './show.js';

/** `GET /api/tags`: what a request may name, loaded or not. */
export async function tags(exchange: Exchange): Promise<void> {
  answerJson(exchange, { models: (await listModels(exchange.daemon)).map(tagged) });
}

/** `GET /api/ps`: the models that are in memory. */
export async function running(exchange: Exchange): Promise<void> {
  const models = (await listModels(exchange.daemon))
    .filter(({ isReady }) => isReady)
    .map((model) => ({
      ...tagged(model),
      // When one goes depends on what else is asked for, and is not known before.
      expires_at: '9999-12-31T23:59:59Z',
      size_vram: 0,
      context_length: model.served?.contextSize ?? 0,
    }));
  answerJson(exchange, { models });
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

function tagged({ id, sizeBytes, entry }: ListedModel) {
  return {
    name: id,
    model: id,
    modified_at: '1970-01-01T00:00:00Z',
    size: sizeBytes,
    digest: '',
    details: detailsOf(entry),
  };
}
