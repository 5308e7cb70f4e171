import type { EngineEvent } from '@hearth/protocol';
import type { EventSink } from '../event-bus.js';
import { jsonPoster } from './post-json.js';

/** How long one event may take, in milliseconds; there is one attempt (row 103). */
const postTimeoutMs = 2000;

export interface HttpEventSinkOptions {
  /** As {@link loopbackUrl} gave it. */
  readonly base: string;
  readonly token: string | undefined;
  /** Said with each event, where it is set. */
  readonly agentId: string | undefined;
}

/**
 * Posts each request that was served to an event log, in gradatum's shape (behaviours.md 2.2): an array of one. What becomes
 * of engines stays here (row 99). An event that is not taken is lost.
 */
export function httpEventSink({ base, token, agentId }: HttpEventSinkOptions): EventSink {
  const poster = jsonPoster({ base, token, timeoutMs: postTimeoutMs });
  return {
    name: 'http',
    emit: async (event, at) => {
      if (event.kind !== 'request_served') return;
      await poster.post('/api/v1/event-log', [toEntry(event, at, agentId)]);
    },
    abort: () => {
      poster.abort();
    },
  };
}

/** One entry of the event log (row 100). */
export function toEntry(
  event: Extract<EngineEvent, { kind: 'request_served' }>,
  at: Date,
  agentId: string | undefined,
): object {
  return {
    route: event.route,
    model_alias: event.model,
    provider: event.provider,
    status_code: event.status_code,
    latency_ms: event.latency_ms,
    timestamp: at.toISOString(),
    feature_id: featureOf(event.route),
    model_used: event.model,
    tokens_input: event.prompt_tokens ?? null,
    tokens_output: event.completion_tokens ?? null,
    cost_usd: null,
    ...(agentId === undefined ? {} : { agent_id: agentId }),
  };
}

/** What a route is for (row 102). */
export function featureOf(route: string): 'embed' | 'chat' {
  return route === 'embeddings' || route.endsWith('/embeddings') ? 'embed' : 'chat';
}
