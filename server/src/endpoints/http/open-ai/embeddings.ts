import { limits } from '@hearth/protocol';
import * as z from 'zod';
import { answerJson, type Exchange, readJson } from '../exchange.js';
import { modelName, readFields } from '../read-fields.js';
import { embed } from '../typed.js';

const embeddingsSchema = z.strictObject({
  model: z.string().max(256).optional(),
  input: z.union([z.string(), z.array(z.string()).max(limits.embedInputs)], {
    error: 'input must be a text or an array of texts; tokens are not taken',
  }),
  dimensions: z.int().min(1).optional(),
  encoding_format: z.enum(['float', 'base64']).default('float'),
  user: z.string().optional(),
});

/** `POST /v1/embeddings`: as numbers, or as base64 of 32-bit little-endian floats. */
export async function embeddings(exchange: Exchange): Promise<void> {
  const body = readFields(embeddingsSchema, await readJson(exchange));
  const answer = await embed(exchange, {
    model: modelName(body.model),
    input: typeof body.input === 'string' ? [body.input] : body.input,
    dimensions: body.dimensions,
  });
  answerJson(exchange, {
    object: 'list',
    data: answer.vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: body.encoding_format === 'base64' ? toBase64(vector) : vector,
    })),
    model: answer.model,
    usage: { prompt_tokens: answer.inputTokens, total_tokens: answer.inputTokens },
  });
}

function toBase64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4);
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString('base64');
}
