import type { GenerateRequest, TokenLogprob, ToolCall } from '@hearth/protocol';
import { answerId } from '../answer-id.js';
import type { HttpError } from '../../../http/http-error.js';
import { toApiError } from '../api-error.js';
import { answerJson, type Exchange, readJson } from '../exchange.js';
import { type Done, type Piece, runAll, runGeneration, variants, wholeGeneration } from '../generations.js';
import { type ServedModel, servedModel } from '../models.js';
import type { PacedResponse } from '../paced-response.js';
import { readFields } from '../read-fields.js';
import { chatRequest } from './chat-request.js';
import { chatSchema } from './chat-schema.js';
import { openAiError } from './error-body.js';
import { dataEvent, eventStream, lastEvent } from './events.js';
import { chatLogprobs } from './logprobs.js';
import { finishReason, usageOf } from './usage.js';

/** `POST /v1/chat/completions` (row 169). */
export async function chatCompletions(exchange: Exchange): Promise<void> {
  const body = readFields(chatSchema, await readJson(exchange));
  const id = answerId('chatcmpl-');
  const model = servedModel(exchange.daemon, body.model);
  const head = { id, created: Math.floor(Date.now() / 1000), model: model.id };
  const requests = variants(chatRequest(body, id, model.maxTokens), body.n ?? 1);
  if (!body.stream) {
    await answerWhole(exchange, head, requests, body.logprobs === true);
    return;
  }
  await answerStream(exchange, head, requests, body.stream_options?.include_usage === true);
}

/** What every object of one answer says of it. */
interface Head {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: ServedModel['id'];
}

async function answerWhole(
  exchange: Exchange,
  head: Head,
  requests: readonly GenerateRequest[],
  withLogprobs: boolean,
): Promise<void> {
  const ends = await runAll(exchange, requests, wholeGeneration);
  const done = ends.filter((end) => end !== undefined);
  if (done.length !== ends.length) return;
  const choices = done.map((end, index) => ({
    index,
    message: {
      role: 'assistant',
      content: end.text === '' && end.toolCalls !== undefined ? null : end.text,
      refusal: null,
      ...(end.thinking === undefined ? {} : { reasoning_content: end.thinking }),
      ...(end.toolCalls === undefined ? {} : { tool_calls: end.toolCalls.map(wholeCall) }),
    },
    logprobs: withLogprobs ? { content: chatLogprobs(end.logprobs ?? []), refusal: null } : null,
    finish_reason: finishReason(end),
  }));
  answerJson(exchange, { ...withObject(head, 'chat.completion'), choices, usage: usageOf(done) });
}

async function answerStream(
  exchange: Exchange,
  head: Head,
  requests: readonly GenerateRequest[],
  includeUsage: boolean,
): Promise<void> {
  const events = eventStream(exchange);
  try {
    const ends = await runAll(exchange, requests, async (one, request, index) =>
      streamChoice(one, request, new ChoiceStream(events, head, index)),
    );
    const done = ends.filter((end) => end !== undefined);
    if (done.length !== ends.length) return;
    const usage = { ...withObject(head, 'chat.completion.chunk'), choices: [], usage: usageOf(done) };
    events.end(`${includeUsage ? dataEvent(usage) : ''}${lastEvent}`);
  } catch (error) {
    failStream(events, exchange, toApiError(error));
  } finally {
    events.stop();
  }
}

/** Tells of a failure: by the status as long as there is none yet, else within the stream. */
export function failStream(events: PacedResponse, exchange: Exchange, error: HttpError): void {
  if (!events.hasBegun || exchange.signal.aborted) throw error;
  events.end(dataEvent(openAiError(error)));
}

async function streamChoice(
  exchange: Exchange,
  request: GenerateRequest,
  choice: ChoiceStream,
): Promise<Done | undefined> {
  const done = await runGeneration(exchange, request, (piece) => choice.add(piece));
  if (done !== undefined) await choice.finish(done);
  return done;
}

/** The chunks of one choice. What does not change from chunk to chunk is written as JSON once. */
class ChoiceStream {
  readonly #events: PacedResponse;
  readonly #before: string;
  #hasBegun = false;
  #calls = 0;

  constructor(events: PacedResponse, head: Head, index: number) {
    this.#events = events;
    const chunk = JSON.stringify({ ...withObject(head, 'chat.completion.chunk'), choices: [] });
    this.#before = `data: ${chunk.slice(0, -'[]}'.length)}[{"index":${index},"delta":`;
  }

  add(piece: Piece): Promise<void> | undefined {
    return this.#events.write(this.#role() + this.#chunk(piece));
  }

  finish(done: Done): Promise<void> | undefined {
    const end = `${this.#before}{},"logprobs":null,"finish_reason":"${finishReason(done)}"}]}\n\n`;
    return this.#events.write(this.#role() + end);
  }

  #chunk(piece: Piece): string {
    switch (piece.kind) {
      case 'token':
        return this.#delta(`{"content":${JSON.stringify(piece.text)}}`, piece.logprobs);
      case 'thinking':
        return this.#delta(`{"reasoning_content":${JSON.stringify(piece.text)}}`);
      case 'tool_call': {
        const call = { index: this.#calls, ...wholeCall(piece.call) };
        this.#calls += 1;
        return this.#delta(JSON.stringify({ tool_calls: [call] }));
      }
    }
  }

  /** The first chunk of a choice says who speaks. */
  #role(): string {
    if (this.#hasBegun) return '';
    this.#hasBegun = true;
    return this.#delta('{"role":"assistant","content":""}');
  }

  #delta(delta: string, logprobs?: readonly TokenLogprob[]): string {
    const more =
      logprobs === undefined ? 'null' : JSON.stringify({ content: chatLogprobs(logprobs), refusal: null });
    return `${this.#before}${delta},"logprobs":${more},"finish_reason":null}]}\n\n`;
  }
}

function wholeCall({ id, name, arguments: text }: ToolCall) {
  return { id, type: 'function', function: { name, arguments: text } } as const;
}

function withObject({ id, created, model }: Head, object: string) {
  return { id, object, created, model };
}
