import { answerId } from '../answer-id.js';
import { toApiError } from '../api-error.js';
import { answerJson, type Exchange, readJson } from '../exchange.js';
import { type Piece, runGeneration } from '../generations.js';
import { servedModel } from '../models.js';
import { PacedResponse } from '../paced-response.js';
import { readFields } from '../read-fields.js';
import { anthropicError } from './error-body.js';
import { event, MessageBlocks, messageUsage, stopOf } from './message-events.js';
import { countRequest, countSchema, messageRequest, messagesSchema } from './messages-request.js';

/** `POST /v1/messages` */
export async function messages(exchange: Exchange): Promise<void> {
  const body = readFields(messagesSchema, await readJson(exchange));
  const id = newId();
  const request = messageRequest(body, id);
  const model = servedModel(exchange.daemon, body.model).id;
  const head = { id, type: 'message', role: 'assistant', model } as const;
  const blocks = new MessageBlocks();
  const stops = body.stop_sequences ?? [];
  if (!body.stream) {
    const done = await runGeneration(exchange, request, (piece) => void blocks.add(piece));
    if (done === undefined) return;
    answerJson(exchange, {
      ...head,
      content: blocks.list,
      ...stopOf(done, stops),
      usage: messageUsage(done),
    });
    return;
  }
  const out = new PacedResponse(exchange, {
    contentType: 'text/event-stream',
    // A comment before `message_start`, which would otherwise have to come after a ping.
    heartbeat: ': waiting\n\n',
  });
  const usage = {
    input_tokens: 0,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    output_tokens: 0,
  };
  const message = { ...head, content: [], stop_reason: null, stop_sequence: null, usage };
  let begin = event('message_start', { message });
  const add = (piece: Piece): Promise<void> | undefined => {
    const text = begin + blocks.add(piece);
    begin = '';
    return out.write(text);
  };
  try {
    const done = await runGeneration(exchange, request, add);
    if (done === undefined) return;
    const delta = event('message_delta', { delta: stopOf(done, stops), usage: messageUsage(done) });
    out.end(begin + blocks.finish() + delta + event('message_stop', {}));
  } catch (error) {
    const told = toApiError(error);
    if (!out.hasBegun || exchange.signal.aborted) throw told;
    out.end(event('error', { error: anthropicError(told).error }));
  } finally {
    out.stop();
  }
}

/** `POST /v1/messages/count_tokens`: of the prompt as the model would get it. */
export async function countTokens(exchange: Exchange): Promise<void> {
  const body = readFields(countSchema, await readJson(exchange));
  const { daemon, caller, signal } = exchange;
  const { promptTokens } = await daemon.render(countRequest(body, newId()), caller, signal);
  answerJson(exchange, { input_tokens: promptTokens });
}

function newId(): string {
  return answerId('msg_');
}
