import { type EngineEvent, HearthError, toHearthError } from '@hearth/protocol';
import type { GenerationEvent } from '../daemon-api.js';
import { httpStatusOf } from '../http/status-of.js';

/** How a request is watched: nothing of what is said passes here but its length in tokens and time. */
export interface ObserveOptions {
  /** See the events' `route`. */
  readonly route: string;
  /** Name of the loaded model of a backend. */
  readonly modelOf: (backend: string) => string | undefined;
  readonly emit: (event: EngineEvent) => void;
  /** Milliseconds between one piece of text and the next. */
  readonly onGap: (ms: number) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

type Done = Extract<GenerationEvent, { kind: 'done' }>;

/** Passes a generation through as it is, and tells how it ended: exactly one event a request. */
export async function* observeGeneration(
  events: AsyncIterable<GenerationEvent>,
  options: ObserveOptions,
): AsyncGenerator<GenerationEvent, void, undefined> {
  const { emit, onGap, now } = options;
  const since = now();
  let backend = '';
  let lastPieceAt: number | undefined;
  let pieces = 0;
  let isOver = false;
  const about = () => ({
    route: options.route,
    model: options.modelOf(backend) ?? 'unknown',
    provider: backend,
    latency_ms: Math.round(now() - since),
  });
  try {
    for await (const event of events) {
      if (event.kind === 'started') ({ backend } = event);
      if (event.kind === 'token' || event.kind === 'thinking') {
        const at = now();
        if (lastPieceAt !== undefined) onGap(at - lastPieceAt);
        lastPieceAt = at;
        pieces += 1;
      }
      if (event.kind === 'done') {
        isOver = true;
        backend = event.backend;
        emit(ended(event, about()));
      }
      yield event;
    }
  } catch (error) {
    if (!isOver) {
      isOver = true;
      emit(failed(error, about()));
    }
    throw error;
  } finally {
    // Whoever asked went away in the middle.
    if (!isOver) emit({ kind: 'request_cancelled', ...about(), completion_tokens: pieces });
  }
}

/** Waits for an answer that is one piece, and tells how it ended: exactly one event a request. */
export async function observeAnswer<Result extends { readonly backend: string }>(
  answer: Promise<Result>,
  { route, modelOf, emit, now }: ObserveOptions,
): Promise<Result> {
  const since = now();
  const about = (provider: string): About => ({
    route,
    model: modelOf(provider) ?? 'unknown',
    provider,
    latency_ms: Math.round(now() - since),
  });
  try {
    const result = await answer;
    emit({ kind: 'request_served', ...about(result.backend), status_code: 200 });
    return result;
  } catch (error) {
    const isCancelled = error instanceof HearthError && error.code === 'cancelled';
    emit(
      isCancelled
        ? { kind: 'request_cancelled', ...about(''), completion_tokens: 0 }
        : failed(error, about('')),
    );
    throw error;
  }
}

function failed(error: unknown, about: About): EngineEvent {
  const { code } = toHearthError(error);
  const status = httpStatusOf(code);
  return status < 500
    ? { kind: 'request_served', ...about, status_code: status }
    : { kind: 'request_failed', ...about, status_code: status, code };
}

interface About {
  readonly route: string;
  readonly model: string;
  readonly provider: string;
  readonly latency_ms: number;
}

function ended({ usage, stopReason, queueMs, firstTokenMs, timings }: Done, about: About): EngineEvent {
  if (stopReason === 'cancelled')
    return { kind: 'request_cancelled', ...about, completion_tokens: usage.completion_tokens };
  return {
    kind: 'request_served',
    ...about,
    status_code: 200,
    queue_ms: queueMs,
    ...(firstTokenMs === undefined ? {} : { first_token_ms: firstTokenMs }),
    prompt_tokens: usage.prompt_tokens,
    completion_tokens: usage.completion_tokens,
    ...(usage.cached_tokens === undefined ? {} : { cached_tokens: usage.cached_tokens }),
    ...(timings?.draftTokens === undefined ? {} : { draft_tokens: timings.draftTokens }),
    ...(timings?.draftAccepted === undefined ? {} : { draft_accepted: timings.draftAccepted }),
    stop_reason: stopReason,
  };
}
