import { type GenerateRequest, limits } from '@hearth/protocol';
import * as z from 'zod';
import { toApiError } from '../api-error.js';
import { answerJson, type Exchange, readJson } from '../exchange.js';
import { type Done, runGeneration } from '../generations.js';
import { servedModel } from '../models.js';
import { failStream } from '../open-ai/chat.js';
import { commonFields, samplingFields } from '../open-ai/chat-schema.js';
import { dataEvent, eventStream } from '../open-ai/events.js';
import { samplingOf } from '../open-ai/sampling.js';
import { modelName, readFields, toGenerateRequest } from '../read-fields.js';

/** llama.cpp's own routes for text, as its editors' plugins use them. Source: its server's README of 2026. */

const { n: _n, ...sampling } = samplingFields;
const common = {
  ...sampling,
  model: commonFields.model,
  stream: commonFields.stream,
  cache_prompt: z.boolean().optional(),
  n_predict: z.int().optional(),
  /** Of the answer's fields, those that the client wants. */
  response_fields: z.array(z.string()).max(64).optional(),
  // How a server is to place and pace the work: the daemon has its own ways.
  id_slot: z.int().optional(),
  samplers: z.array(z.string()).max(64).optional(),
  t_max_prompt_ms: z.number().optional(),
  t_max_predict_ms: z.number().optional(),
  n_indent: z.int().optional(),
} as const;

const infillSchema = z.strictObject({
  ...common,
  input_prefix: z.string().default(''),
  input_suffix: z.string().default(''),
  input_extra: z
    .array(z.object({ filename: z.string(), text: z.string() }))
    .max(limits.infillFiles)
    .optional(),
  /** Text between prefix and cursor. */
  prompt: z.string().default(''),
});

const completionSchema = z.strictObject({ ...common, prompt: z.string() });

/** `POST /infill` */
export async function infill(exchange: Exchange): Promise<void> {
  const body = readFields(infillSchema, await readJson(exchange));
  const files = (body.input_extra ?? []).map(({ filename, text }) => ({ path: filename, content: text }));
  await answer(exchange, body, {
    prompt: body.input_prefix + body.prompt,
    suffix: body.input_suffix,
    files: files.length === 0 ? undefined : files,
    class: 'interactive',
  });
}

/** `POST /completion` */
export async function completion(exchange: Exchange): Promise<void> {
  const body = readFields(completionSchema, await readJson(exchange));
  await answer(exchange, body, { prompt: body.prompt });
}

type Body = z.output<z.ZodObject<typeof common>>;

async function answer(
  exchange: Exchange,
  body: Body,
  input: Readonly<Record<string, unknown>>,
): Promise<void> {
  const model = servedModel(exchange.daemon, body.model);
  const { n_predict: predict } = body;
  // llama.cpp's own default, and its word for "no bound", are below zero.
  const most = predict === undefined || predict < 0 ? model.maxTokens : Math.max(1, predict);
  const request: GenerateRequest = toGenerateRequest({
    ...samplingOf(body),
    ...input,
    model: modelName(body.model),
    max_tokens: most,
  });
  if (!body.stream) {
    const done = await runGeneration(exchange, request, () => undefined);
    if (done !== undefined) answerJson(exchange, pick(end(done, done.text, model.id), body.response_fields));
    return;
  }
  const events = eventStream(exchange);
  try {
    const done = await runGeneration(exchange, request, (piece) =>
      piece.kind === 'token'
        ? events.write(dataEvent({ index: 0, content: piece.text, stop: false }))
        : undefined,
    );
    if (done !== undefined) events.end(dataEvent(end(done, '', model.id)));
  } catch (error) {
    failStream(events, exchange, toApiError(error));
  } finally {
    events.stop();
  }
}

function end(done: Done, content: string, model: string) {
  const { usage, timings, stopReason } = done;
  return {
    index: 0,
    content,
    model,
    stop: true,
    stop_type: stopReason === 'length' ? 'limit' : done.stopDetail === 'stop_sequence' ? 'word' : 'eos',
    tokens_predicted: usage.completion_tokens,
    tokens_evaluated: usage.prompt_tokens,
    tokens_cached: usage.cached_tokens ?? 0,
    truncated: false,
    timings: {
      prompt_n: usage.prompt_tokens - (usage.cached_tokens ?? 0),
      prompt_ms: timings?.prefillMs ?? 0,
      predicted_n: usage.completion_tokens,
      predicted_ms: timings?.decodeMs ?? 0,
    },
  } as const;
}

/** Of `value`, the fields that are named; `timings/prompt_n` names one within another. */
function pick(value: Readonly<Record<string, unknown>>, names: readonly string[] | undefined): object {
  if (names === undefined || names.length === 0) return value;
  return Object.fromEntries(
    names.flatMap((name) => {
      const [outer = '', inner] = name.split('/');
      const found = Object.hasOwn(value, outer) ? value[outer] : undefined;
      if (inner === undefined || typeof found !== 'object' || found === null)
        return found === undefined ? [] : [[name, found]];
      const entry = Object.entries(found).find(([key]) => key === inner);
      return entry === undefined ? [] : [[name, entry[1]]];
    }),
  );
}
