import { limits } from '@hearth/protocol';
import * as z from 'zod';
import { answerJson, type Exchange, readJson } from '../exchange.js';
import { modelName, readFields } from '../read-fields.js';
import { detokenize, rerank, tokenize } from '../typed.js';

const tokenizeSchema = z.strictObject({
  model: z.string().max(256).optional(),
  content: z.string(),
  add_special: z.literal(false, { error: 'add_special must be false' }).optional(),
  parse_special: z.boolean().optional(),
  with_pieces: z.literal(false, { error: 'with_pieces must be false' }).optional(),
});

/** `POST /tokenize` */
export async function tokens(exchange: Exchange): Promise<void> {
  const body = readFields(tokenizeSchema, await readJson(exchange));
  const answer = await tokenize(exchange, { model: modelName(body.model), content: body.content });
  answerJson(exchange, { tokens: answer.tokens });
}

const detokenizeSchema = z.strictObject({
  model: z.string().max(256).optional(),
  tokens: z.array(z.int()).max(limits.detokenizeTokens),
});

/** `POST /detokenize` */
export async function text(exchange: Exchange): Promise<void> {
  const body = readFields(detokenizeSchema, await readJson(exchange));
  const answer = await detokenize(exchange, { model: modelName(body.model), tokens: body.tokens });
  answerJson(exchange, { content: answer.content });
}

const rerankSchema = z.strictObject({
  model: z.string().max(256).optional(),
  query: z.string(),
  documents: z.array(z.union([z.string(), z.object({ text: z.string() })])).max(limits.rerankDocuments),
  top_n: z.int().min(1).optional(),
  return_documents: z.literal(false, { error: 'return_documents must be false' }).optional(),
});

/** `POST /rerank`, in the form that llama.cpp, Jina and Cohere share. */
export async function ranking(exchange: Exchange): Promise<void> {
  const body = readFields(rerankSchema, await readJson(exchange));
  const answer = await rerank(exchange, {
    model: modelName(body.model),
    query: body.query,
    documents: body.documents.map((one) => (typeof one === 'string' ? one : one.text)),
    top_n: body.top_n,
  });
  answerJson(exchange, {
    object: 'list',
    model: answer.model,
    results: answer.results.map(({ index, score }) => ({ index, relevance_score: score })),
    usage: { prompt_tokens: answer.inputTokens, total_tokens: answer.inputTokens },
  });
}
