import type { EngineEvent } from '@hearth/protocol';
import type { GenerationEvent } from '../daemon-api.js';
import type { Engine } from '../engine/engine.js';
import type { RecordActivity } from '../record-activity.js';
import { activitySink } from './activity-sink.js';
import { EventBus, type EventSink } from './event-bus.js';
import { followEngine } from './follow-engine.js';
import type { Metrics, MetricsView } from './metrics/metrics.js';
import { observeAnswer, observeGeneration, type ObserveOptions } from './observe-generation.js';

/** Who is told of engine events; what the configuration asked for, ready to be used. */
export interface ObservabilityParts {
  readonly sinks: readonly EventSink[];
  /** Undefined: nobody asks for metrics. */
  readonly makeMetrics: ((view: () => MetricsView) => Metrics) | undefined;
  /** Whether engine events are noted in the activity log. */
  readonly toActivityLog: boolean;
}

/** What a daemon needs to be watched: nothing. */
export const unobserved: ObservabilityParts = { sinks: [], makeMetrics: undefined, toActivityLog: false };

export interface ObservabilityContext {
  readonly record: RecordActivity;
  /** The engines of the moment. */
  readonly engines: () => readonly Engine[];
  /** Read at each scrape. */
  readonly view: () => Omit<MetricsView, 'lostEvents'>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** Watches engines and requests, and tells sinks and subscribers. No response waits for any of them. */
export class Observability {
  readonly #bus: EventBus;
  readonly #metrics: Metrics | undefined;
  readonly #context: ObservabilityContext;

  constructor(parts: ObservabilityParts, context: ObservabilityContext) {
    this.#context = context;
    this.#metrics = parts.makeMetrics?.(() => ({ ...context.view(), lostEvents: this.#bus.lost }));
    this.#bus = new EventBus([
      ...parts.sinks,
      ...(parts.toActivityLog ? [activitySink(context.record)] : []),
      ...(this.#metrics === undefined ? [] : [this.#metrics]),
    ]);
  }

  /** Undefined where nobody asks for them. */
  get metrics(): Metrics | undefined {
    return this.#metrics;
  }

  /** Calls back for each event; gives what ends it. */
  listen(listener: (event: EngineEvent) => void): () => void {
    return this.#bus.listen(listener);
  }

  /** Tells what becomes of an engine from now on. */
  follow(engine: Engine): void {
    followEngine(engine, this.#emit);
  }

  /** Passes a generation through, and tells how it ended. */
  watch(events: AsyncIterable<GenerationEvent>, route: string | undefined): AsyncIterable<GenerationEvent> {
    return observeGeneration(events, this.#options(route ?? 'generate'));
  }

  /** Waits for an answer that is one frame, and tells how it ended. */
  watchOnce<Result extends { readonly backend: string }>(
    answer: Promise<Result>,
    caller: string | undefined,
    type: string,
  ): Promise<Result> {
    // A route of the gateway says already what for; the others are told apart by the type of the request.
    const name = type === 'embed' ? 'embeddings' : type;
    const route = caller?.startsWith('/') === true ? caller : `${caller ?? 'answer'}/${name}`;
    return observeAnswer(answer, this.#options(route));
  }

  #options(route: string): ObserveOptions {
    const { engines, now } = this.#context;
    return {
      route,
      modelOf: (backend) => engines().find(({ name }) => name === backend)?.model?.id,
      emit: this.#emit,
      onGap: this.#metrics?.gap ?? (() => undefined),
      now,
    };
  }

  async close(): Promise<void> {
    await this.#bus.close();
  }

  readonly #emit = (event: EngineEvent): void => {
    this.#bus.emit(event);
  };
}
