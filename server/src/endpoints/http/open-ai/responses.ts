import { answerId } from '../answer-id.js';
import { toApiError } from '../api-error.js';
import { answerJson, type Exchange, readJson } from '../exchange.js';
import { type Done, type Piece, runGeneration } from '../generations.js';
import { servedModel } from '../models.js';
import type { PacedResponse } from '../paced-response.js';
import { readFields } from '../read-fields.js';
import { openAiError } from './error-body.js';
import { eventStream } from './events.js';
import { OutputItems, type OutputEvent } from './output-items.js';
import { type ResponseBody, responseRequest, responseSchema } from './responses-request.js';

/** `POST /v1/responses`: one answer, from what the request itself says; nothing is stored. */
export async function responses(exchange: Exchange): Promise<void> {
  const body = readFields(responseSchema, await readJson(exchange));
  const id = answerId('resp_');
  const model = servedModel(exchange.daemon, body.model);
  const request = responseRequest(body, id, model.maxTokens);
  const head = { id, body, model: model.id, createdAt: Math.floor(Date.now() / 1000) };
  const items = new OutputItems();
  if (!body.stream) {
    const done = await runGeneration(exchange, request, (piece) => void items.add(piece));
    if (done === undefined) return;
    items.finish();
    answerJson(exchange, responseObject(head, items.list, done));
    return;
  }
  const events = new ResponseEvents(eventStream(exchange), head, items);
  try {
    const done = await runGeneration(exchange, request, (piece) => events.add(piece));
    if (done !== undefined) events.finish(done);
  } catch (error) {
    events.fail(exchange, error);
  } finally {
    events.stop();
  }
}

interface Head {
  readonly id: string;
  readonly body: ResponseBody;
  readonly model: string;
  /** Seconds since 1970. */
  readonly createdAt: number;
}

/** The events of one response, numbered. */
class ResponseEvents {
  readonly #out: PacedResponse;
  readonly #head: Head;
  readonly #items: OutputItems;
  #sequence = 0;

  constructor(out: PacedResponse, head: Head, items: OutputItems) {
    this.#out = out;
    this.#head = head;
    this.#items = items;
  }

  add(piece: Piece): Promise<void> | undefined {
    const begin = this.#begin();
    return this.#out.write(begin + this.#write(this.#items.add(piece)));
  }

  finish(done: Done): void {
    const begin = this.#begin();
    const last = this.#write(this.#items.finish());
    const response = responseObject(this.#head, this.#items.list, done);
    this.#out.end(begin + last + this.#write([{ type: `response.${response.status}`, response }]));
  }

  fail(exchange: Exchange, error: unknown): void {
    const told = toApiError(error);
    if (!this.#out.hasBegun || exchange.signal.aborted) throw told;
    const { message, code, param } = openAiError(told).error;
    this.#out.end(this.#write([{ type: 'error', code, message, param }]));
  }

  stop(): void {
    this.#out.stop();
  }

  #begin(): string {
    if (this.#sequence > 0) return '';
    const response = responseObject(this.#head, []);
    return this.#write([
      { type: 'response.created', response },
      { type: 'response.in_progress', response },
    ]);
  }

  #write(events: readonly OutputEvent[]): string {
    return events
      .map(({ type, ...rest }) => {
        const event = JSON.stringify({ type, sequence_number: this.#sequence, ...rest });
        this.#sequence += 1;
        return `event: ${type}\ndata: ${event}\n\n`;
      })
      .join('');
  }
}

/** A response as it stands. @param done its end; undefined: it goes on */
function responseObject({ id, body, model, createdAt }: Head, output: readonly object[], done?: Done) {
  const isCut = done?.stopReason === 'length';
  const status = done === undefined ? 'in_progress' : isCut ? 'incomplete' : 'completed';
  return {
    id,
    object: 'response',
    created_at: createdAt,
    status,
    error: null,
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    model,
    output,
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    previous_response_id: null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: null },
    store: false,
    temperature: body.temperature ?? null,
    text: { format: body.text?.format ?? { type: 'text' } },
    tool_choice: body.tool_choice ?? 'auto',
    tools: body.tools ?? [],
    top_p: body.top_p ?? null,
    truncation: 'disabled',
    usage: done === undefined ? null : responseUsage(done),
    metadata: body.metadata ?? {},
  } as const;
}

function responseUsage({ usage }: Done) {
  return {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: { cached_tokens: usage.cached_tokens ?? 0 },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: usage.prompt_tokens + usage.completion_tokens,
  };
}
