import { randomBytes } from 'node:crypto';
import type { EngineEvent } from '@hearth/protocol';
import type { EventSink } from '../event-bus.js';
import { featureOf } from './http-event-sink.js';
import { jsonPoster } from './post-json.js';

/**
 * Traces for an OpenTelemetry collector on this machine: one span a request, by the semantic conventions for generative AI,
 * in OTLP's JSON over HTTP. Content is never part of it.
 *
 * Written out here rather than taken from the SDK: the spans are made after the fact from one event, nothing is propagated,
 * and the SDK's exporter would open connections of its own to wherever the environment says.
 * Sources: opentelemetry-proto trace.proto (JSON encoding), semantic conventions gen-ai-spans.
 */

/** Spans that are sent together. */
const mostSpans = 64;
/** How long a span waits for others, in milliseconds. */
const gatherMs = 1000;
const postTimeoutMs = 2000;

export interface OtlpSinkOptions {
  /** As {@link loopbackUrl} gave it; `/v1/traces` is added. */
  readonly base: string;
  readonly token: string | undefined;
  readonly version: string;
}

type RequestEvent = Extract<EngineEvent, { kind: 'request_served' | 'request_failed' | 'request_cancelled' }>;

export function otlpSink(options: OtlpSinkOptions): EventSink {
  const poster = jsonPoster({ base: options.base, token: options.token, timeoutMs: postTimeoutMs });
  let spans: object[] = [];
  let timer: NodeJS.Timeout | undefined;
  let lost = 0;

  const send = async (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    const batch = spans;
    spans = [];
    if (batch.length === 0) return;
    try {
      await poster.post('/v1/traces', toExport(batch, options.version));
    } catch {
      lost += batch.length;
    }
  };

  return {
    name: 'otlp',
    get lost() {
      return lost;
    },
    emit: async (event, at) => {
      if (!isRequest(event)) return;
      spans.push(toSpan(event, at));
      if (spans.length >= mostSpans) await send();
      else timer ??= setTimeout(() => void send(), gatherMs).unref();
    },
    close: send,
    abort: () => {
      poster.abort();
    },
  };
}

function isRequest(event: EngineEvent): event is RequestEvent {
  return (
    event.kind === 'request_served' || event.kind === 'request_failed' || event.kind === 'request_cancelled'
  );
}

/** Kinds and statuses of trace.proto. */
const spanKindClient = 3;
const statusError = 2;

/** One span. @param at when the request ended */
export function toSpan(event: RequestEvent, at: Date): object {
  const operation = featureOf(event.route) === 'embed' ? 'embeddings' : 'chat';
  const end = at.getTime();
  const error = errorOf(event);
  return {
    traceId: randomBytes(16).toString('hex'),
    spanId: randomBytes(8).toString('hex'),
    name: `${operation} ${event.model}`,
    kind: spanKindClient,
    startTimeUnixNano: nanoseconds(end - event.latency_ms),
    endTimeUnixNano: nanoseconds(end),
    attributes: attributes({
      'gen_ai.operation.name': operation,
      'gen_ai.provider.name': 'hearth',
      'gen_ai.request.model': event.model,
      'gen_ai.response.model': event.model,
      'hearth.route': event.route,
      'hearth.backend': event.provider,
      'error.type': error,
      ...('status_code' in event ? { 'http.response.status_code': event.status_code } : {}),
      ...usageOf(event),
    }),
    status: error === undefined ? {} : { code: statusError },
  };
}

function usageOf(event: RequestEvent): Record<string, number | string[] | undefined> {
  if (event.kind === 'request_failed') return {};
  if (event.kind === 'request_cancelled') return { 'gen_ai.usage.output_tokens': event.completion_tokens };
  return {
    'gen_ai.usage.input_tokens': event.prompt_tokens,
    'gen_ai.usage.output_tokens': event.completion_tokens,
    'gen_ai.response.finish_reasons': event.stop_reason === undefined ? undefined : [event.stop_reason],
    'hearth.usage.cached_tokens': event.cached_tokens,
    'hearth.queue_ms': event.queue_ms,
    'hearth.first_token_ms': event.first_token_ms,
  };
}

function errorOf(event: RequestEvent): string | undefined {
  if (event.kind === 'request_failed') return event.code;
  if (event.kind === 'request_cancelled') return 'cancelled';
  return event.status_code < 400 ? undefined : String(event.status_code);
}

function toExport(spans: readonly object[], version: string): object {
  const resource = { attributes: attributes({ 'service.name': 'hearth', 'service.version': version }) };
  return { resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'hearth', version }, spans }] }] };
}

function attributes(
  values: Readonly<Record<string, string | number | readonly string[] | undefined>>,
): readonly object[] {
  return Object.entries(values).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value: toAnyValue(value) }],
  );
}

function toAnyValue(value: string | number | readonly string[]): object {
  if (typeof value === 'string') return { stringValue: value };
  // A 64-bit integer is a text in proto3's JSON.
  if (typeof value === 'number')
    return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  return { arrayValue: { values: value.map((text) => ({ stringValue: text })) } };
}

function nanoseconds(ms: number): string {
  return `${String(Math.round(ms))}000000`;
}
