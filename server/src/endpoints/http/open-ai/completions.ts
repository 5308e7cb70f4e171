import type { GenerateRequest } from '@hearth/protocol';
import * as z from 'zod';
import { answerId } from '../answer-id.js';
import { invalidRequest, toApiError } from '../api-error.js';
import { answerJson, type Exchange, readJson } from '../exchange.js';
import { type Done, type Piece, runAll, runGeneration, variants, wholeGeneration } from '../generations.js';
import { servedModel } from '../models.js';
import { modelName, readFields, toGenerateRequest } from '../read-fields.js';
import { failStream } from './chat.js';
import { cacheKey } from './chat-request.js';
import { commonFields, samplingFields } from './chat-schema.js';
import { dataEvent, eventStream, lastEvent } from './events.js';
import { textLogprobs } from './logprobs.js';
import { samplingOf } from './sampling.js';
import { finishReason, usageOf } from './usage.js';

/** Most answers to one request: prompts times `n`. */
const mostChoices = 16;

const completionSchema = z.strictObject({
  ...commonFields,
  ...samplingFields,
  prompt: z.union([z.string(), z.array(z.string()).min(1).max(mostChoices)], {
    error: 'prompt must be a text or an array of texts; tokens are not taken',
  }),
  suffix: z.string().optional(),
  max_tokens: z.int().min(1).optional(),
  logprobs: z.int().min(0).max(20).optional(),
  echo: z.literal(false, { error: 'echo must be false: the prompt is not repeated' }).optional(),
  best_of: z.literal(1, { error: 'best_of must be 1' }).optional(),
});
type CompletionBody = z.output<typeof completionSchema>;

/** `POST /v1/completions`: raw text, or with `suffix` what stands between the two. */
export async function textCompletions(exchange: Exchange): Promise<void> {
  const body = readFields(completionSchema, await readJson(exchange));
  const id = answerId('cmpl-');
  const model = servedModel(exchange.daemon, body.model);
  const requests = requestsOf(body, id, model.maxTokens);
  const head = { id, object: 'text_completion', created: Math.floor(Date.now() / 1000), model: model.id };
  if (!body.stream) {
    const ends = await runAll(exchange, requests, wholeGeneration);
    const done = ends.filter((end) => end !== undefined);
    if (done.length !== ends.length) return;
    const choices = done.map((end, index) => ({ ...choice(index, end.text), ...choiceEnd(body, end) }));
    answerJson(exchange, { ...head, choices, usage: usageOf(done) });
    return;
  }
  const events = eventStream(exchange);
  try {
    const ends = await runAll(exchange, requests, async (one, request, index) => {
      const done = await runGeneration(one, request, (piece) => {
        const told = pieceChoice(index, piece);
        return told === undefined ? undefined : events.write(dataEvent({ ...head, choices: [told] }));
      });
      if (done !== undefined) {
        const last = { ...choice(index, ''), logprobs: null, finish_reason: finishReason(done) };
        await events.write(dataEvent({ ...head, choices: [last] }));
      }
      return done;
    });
    const done = ends.filter((end) => end !== undefined);
    if (done.length !== ends.length) return;
    const usage = dataEvent({ ...head, choices: [], usage: usageOf(done) });
    events.end(`${body.stream_options?.include_usage === true ? usage : ''}${lastEvent}`);
  } catch (error) {
    failStream(events, exchange, toApiError(error));
  } finally {
    events.stop();
  }
}

function requestsOf(body: CompletionBody, id: string, maxTokens: number): readonly GenerateRequest[] {
  const prompts = typeof body.prompt === 'string' ? [body.prompt] : body.prompt;
  const each = body.n ?? 1;
  if (prompts.length * each > mostChoices) {
    const asked = `${prompts.length} prompts with n ${each} ask for ${prompts.length * each} answers`;
    throw invalidRequest(`${asked}, and one request may have ${mostChoices}. Send several requests.`, 'n');
  }
  return prompts.flatMap((prompt) =>
    variants(
      toGenerateRequest({
        ...samplingOf(body),
        id,
        model: modelName(body.model),
        prompt,
        suffix: body.suffix,
        // Whoever fills in the middle types, and waits.
        class: body.suffix === undefined ? undefined : 'interactive',
        max_tokens: body.max_tokens ?? maxTokens,
        logprobs: body.logprobs,
        cache_key: cacheKey(body.prompt_cache_key),
      }),
      each,
    ),
  );
}

function choice(index: number, text: string) {
  return { index, text };
}

function choiceEnd(body: CompletionBody, end: Done) {
  const logprobs = body.logprobs === undefined ? null : textLogprobs(end.logprobs ?? [], 0);
  return { logprobs, finish_reason: finishReason(end) };
}

function pieceChoice(index: number, piece: Piece): object | undefined {
  if (piece.kind !== 'token') return undefined;
  const logprobs = piece.logprobs === undefined ? null : textLogprobs(piece.logprobs, 0);
  return { ...choice(index, piece.text), logprobs, finish_reason: null };
}
