import type { EngineEvent } from '@hearth/protocol';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { EventSink } from '../event-bus.js';

/** What is read at each scrape. */
export interface MetricsView {
  readonly permitsInUse: number;
  readonly permits: number;
  readonly queued: number;
  readonly connections: Readonly<Record<string, number>>;
  readonly subscriptions: number;
  readonly shed: number;
  /** Requests that the gateway turned away, by status. */
  readonly refused: ReadonlyMap<number, number>;
  /** By sink. */
  readonly lostEvents: ReadonlyMap<string, number>;
}

/** 10 ms · 2^k, k from 0 to 9, in seconds (row 111). */
const latencyBuckets = Array.from({ length: 10 }, (_, k) => 0.01 * 2 ** k);
/** From a millisecond, since gaps between tokens are short. */
const gapBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];

/**
 * Prometheus counters and histograms, fed by engine events. Labels are routes, statuses and names of backends: closed sets
 * of ours, so that no client can make them grow.
 */
export class Metrics implements EventSink {
  readonly name = 'prometheus';
  readonly #registry = new Registry();
  readonly #requests = this.#counter('requests_total', 'Requests that ended.', ['route', 'status_code']);
  readonly #latency = new Histogram({
    name: 'hearth_request_latency_seconds',
    help: 'From the arrival of a request to its end.',
    labelNames: ['route', 'status_code'],
    buckets: latencyBuckets,
    registers: [this.#registry],
  });
  readonly #queueWait = this.#histogram('queue_wait_seconds', 'From arrival to permit.', latencyBuckets);
  readonly #firstToken = this.#histogram(
    'time_to_first_token_seconds',
    'From arrival to the first token.',
    latencyBuckets,
  );
  readonly #gap = this.#histogram('inter_token_gap_seconds', 'Between two pieces of text.', gapBuckets);
  readonly #tokens = this.#counter('tokens_total', 'Tokens, by what they were.', ['kind']);
  readonly #cacheHits = this.#counter('prompt_cache_hits_total', 'Requests with cached prompt tokens.', []);
  readonly #restarts = this.#counter('engine_restarts_total', 'Engines that had to be restarted.', ['model']);
  readonly #errors = this.#counter('engine_errors_total', 'Engines that failed.', ['model']);

  /** @param view read at each scrape */
  constructor(view: () => MetricsView) {
    this.#gauge('permits', 'Requests that may run at once.', [], (gauge) => gauge.set(view().permits));
    this.#gauge('permits_in_use', 'Requests that run.', [], (gauge) => gauge.set(view().permitsInUse));
    this.#gauge('queued_requests', 'Requests that wait.', [], (gauge) => gauge.set(view().queued));
    this.#gauge('subscriptions', 'Subscriptions.', [], (gauge) => gauge.set(view().subscriptions));
    this.#gauge('connections', 'Open connections.', ['kind'], (gauge) => {
      for (const [kind, count] of Object.entries(view().connections)) gauge.set({ kind }, count);
    });
    this.#counted('subscriptions_shed_total', 'Subscriptions that were ended for lagging.', [], (counter) => {
      counter.inc(view().shed);
    });
    this.#counted(
      'http_refused_total',
      'HTTP requests that were turned away.',
      ['status_code'],
      (counter) => {
        for (const [status, count] of view().refused) counter.inc({ status_code: String(status) }, count);
      },
    );
    this.#counted('events_lost_total', 'Engine events that a sink did not take.', ['sink'], (counter) => {
      for (const [sink, count] of view().lostEvents) counter.inc({ sink }, count);
    });
  }

  /** Content type of {@link text}: the text format 0.0.4 (row 163). */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All of it as Prometheus reads it. */
  async text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** A gap between two pieces of text, in milliseconds. */
  readonly gap = (ms: number): void => {
    this.#gap.observe(ms / 1000);
  };

  emit(event: EngineEvent): void {
    switch (event.kind) {
      case 'request_served':
        this.#count(event.route, event.status_code, event.latency_ms);
        if (event.queue_ms !== undefined) this.#queueWait.observe(event.queue_ms / 1000);
        if (event.first_token_ms !== undefined) this.#firstToken.observe(event.first_token_ms / 1000);
        this.#tokens.inc({ kind: 'prompt' }, event.prompt_tokens ?? 0);
        this.#tokens.inc({ kind: 'completion' }, event.completion_tokens ?? 0);
        this.#tokens.inc({ kind: 'cached' }, event.cached_tokens ?? 0);
        this.#tokens.inc({ kind: 'drafted' }, event.draft_tokens ?? 0);
        this.#tokens.inc({ kind: 'draft_accepted' }, event.draft_accepted ?? 0);
        if ((event.cached_tokens ?? 0) > 0) this.#cacheHits.inc();
        return;
      case 'request_failed':
        this.#count(event.route, event.status_code, event.latency_ms);
        return;
      case 'request_cancelled':
        this.#count(event.route, 'cancelled', event.latency_ms);
        this.#tokens.inc({ kind: 'completion' }, event.completion_tokens);
        return;
      case 'engine_restarting':
        this.#restarts.inc({ model: event.model });
        return;
      case 'engine_error':
        this.#errors.inc({ model: event.model });
        return;
      case 'engine_started':
      case 'model_loaded':
      case 'warm_up_complete':
      case 'engine_stopping':
    }
  }

  #count(route: string, status: number | 'cancelled', latencyMs: number): void {
    const labels = { route, status_code: String(status) };
    this.#requests.inc(labels);
    this.#latency.observe(labels, latencyMs / 1000);
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name: `hearth_${name}`, help, labelNames, registers: [this.#registry] });
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name: `hearth_${name}`, help, buckets, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, labelNames: string[], read: (gauge: Gauge) => void): void {
    const gauge: Gauge = new Gauge({
      name: `hearth_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      collect: () => read(gauge),
    });
  }

  /** A count that somebody else keeps. */
  #counted(name: string, help: string, labelNames: string[], read: (counter: Counter) => void): void {
    const counter: Counter = new Counter({
      name: `hearth_${name}`,
      help,
      labelNames,
      registers: [this.#registry],
      collect: () => {
        counter.reset();
        read(counter);
      },
    });
  }
}
