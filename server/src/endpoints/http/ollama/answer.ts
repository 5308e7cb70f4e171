import { toApiError } from '../api-error.js';
import { answerJson, type Exchange } from '../exchange.js';
import { type Done, type Piece, runGeneration } from '../generations.js';
import { PacedResponse } from '../paced-response.js';
import type { GenerateRequest } from '@hearth/protocol';

/** How one of Ollama's answers is written: which fields a piece has, and which the end. */
export interface AnswerStyle {
  readonly model: string;
  readonly piece: (piece: Piece) => object;
  /** The whole of it; in a stream, what was told already is left out. */
  readonly end: (done: Done, isStream: boolean) => object;
}

/** Runs a request and answers with one JSON object, or with one a line while it is generated. */
export async function answer(
  exchange: Exchange,
  request: GenerateRequest,
  style: AnswerStyle,
  isStream: boolean,
): Promise<void> {
  const since = performance.now();
  const head = (): object => ({ model: style.model, created_at: new Date().toISOString() });
  const last = (done: Done): object => ({
    ...head(),
    ...style.end(done, isStream),
    done: true,
    ...figures(done, since),
  });
  if (!isStream) {
    const done = await runGeneration(exchange, request, () => undefined);
    if (done !== undefined) answerJson(exchange, last(done));
    return;
  }
  const out = new PacedResponse(exchange, { contentType: 'application/x-ndjson', heartbeat: '' });
  try {
    const done = await runGeneration(exchange, request, (piece) =>
      out.write(line({ ...head(), ...style.piece(piece), done: false })),
    );
    if (done !== undefined) out.end(line(last(done)));
  } catch (error) {
    const told = toApiError(error);
    if (!out.hasBegun || exchange.signal.aborted) throw told;
    out.end(line({ error: told.message }));
  } finally {
    out.stop();
  }
}

/** A request without a question asks for the model to be loaded; here it is. */
export function answerLoaded(exchange: Exchange, model: string, empty: object): void {
  const created = new Date().toISOString();
  answerJson(exchange, { model, created_at: created, ...empty, done: true, done_reason: 'load' });
}

/** Counts, and times in nanoseconds. */
function figures(done: Done, since: number) {
  const prefill = done.timings?.prefillMs ?? Math.max(0, (done.firstTokenMs ?? done.totalMs) - done.queueMs);
  const decode = done.timings?.decodeMs ?? Math.max(0, done.totalMs - (done.firstTokenMs ?? done.totalMs));
  return {
    done_reason: done.stopReason === 'length' ? 'length' : 'stop',
    total_duration: nanoseconds(performance.now() - since),
    load_duration: 0,
    prompt_eval_count: done.usage.prompt_tokens,
    prompt_eval_duration: nanoseconds(prefill),
    eval_count: done.usage.completion_tokens,
    eval_duration: nanoseconds(decode),
  };
}

export function nanoseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1e6);
}

function line(value: object): string {
  return `${JSON.stringify(value)}\n`;
}
