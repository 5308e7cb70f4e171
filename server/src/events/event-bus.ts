import type { EngineEvent } from '@hearth/protocol';

/** Somebody who is told of engine events. */
export interface EventSink {
  /** For counting what it lost. Unique in a bus. */
  readonly name: string;
  /** Takes one event; the next comes when this has ended. May throw, reject or hang: that costs its own events only. */
  emit(event: EngineEvent, at: Date): Promise<void> | void;
  /** Events that it took and could not bring out. @default 0 */
  readonly lost?: number;
  /** Brings out what it holds back. */
  close?(): Promise<void>;
  /** Gives up what is under way. */
  abort?(): void;
}

/** A sink that discards (row 97). */
export const nullSink: EventSink = { name: 'none', emit: () => undefined };

/** A sink that keeps everything, for tests (row 98). */
export class MemorySink implements EventSink {
  readonly name: string;
  readonly #events: EngineEvent[] = [];

  constructor(name = 'memory') {
    this.name = name;
  }

  emit(event: EngineEvent): void {
    this.#events.push(event);
  }

  /** A copy, in order. */
  snapshot(): readonly EngineEvent[] {
    return [...this.#events];
  }
}

export interface EventBusOptions {
  /** Events that may wait for one sink; one more is lost for that sink. @default 1024 */
  readonly most?: number;
  /** Longest that sinks may take at the end, in milliseconds. @default 250 */
  readonly closeMs?: number;
  readonly now?: () => Date;
}

interface Waiting {
  readonly event: EngineEvent;
  readonly at: Date;
}

/**
 * Tells sinks what happens, best effort (row 96). Whoever emits never waits and never fails: each sink has a queue of its
 * own, drawn from in a later turn of the event loop; what a sink cannot take is lost for it alone, and counted.
 */
export class EventBus {
  readonly #lanes: readonly SinkLane[];
  readonly #closeMs: number;
  readonly #now: () => Date;
  readonly #listeners = new Set<(event: EngineEvent) => void>();

  constructor(sinks: readonly EventSink[], options: EventBusOptions = {}) {
    this.#lanes = sinks.map((sink) => new SinkLane(sink, options.most ?? 1024));
    this.#closeMs = options.closeMs ?? 250;
    this.#now = options.now ?? (() => new Date());
  }

  emit(event: EngineEvent): void {
    const at = this.#now();
    for (const lane of this.#lanes) lane.push({ event, at });
    for (const listen of this.#listeners) {
      try {
        listen(event);
      } catch {
        // A listener's fault is its own.
      }
    }
  }

  /** Calls back for each event at once; it must be quick. Gives what ends it. */
  listen(listener: (event: EngineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Events that each sink lost. */
  get lost(): ReadonlyMap<string, number> {
    return new Map(this.#lanes.map((lane) => [lane.name, lane.lost]));
  }

  /** Lets sinks bring out what waits, for a short time. */
  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#closeMs);
    });
    await Promise.race([Promise.allSettled(this.#lanes.map(async (lane) => lane.close())), late]);
    clearTimeout(timer);
    for (const lane of this.#lanes) lane.abandon();
  }
}

class SinkLane {
  readonly #sink: EventSink;
  readonly #most: number;
  #queue: Waiting[] = [];
  #running: Promise<void> | undefined;
  #lost = 0;
  #abandoned = false;

  constructor(sink: EventSink, most: number) {
    this.#sink = sink;
    this.#most = most;
  }

  get name(): string {
    return this.#sink.name;
  }

  get lost(): number {
    return this.#lost + (this.#sink.lost ?? 0);
  }

  push(waiting: Waiting): void {
    if (this.#abandoned || this.#queue.length >= this.#most) {
      this.#lost += 1;
      return;
    }
    this.#queue.push(waiting);
    this.#running ??= this.#run();
  }

  async close(): Promise<void> {
    await this.#running;
    if (!this.#abandoned) await this.#sink.close?.();
  }

  /** What has not gone out by now is lost: nothing of a sink outlives the daemon. */
  abandon(): void {
    this.#abandoned = true;
    this.#lost += this.#queue.splice(0).length;
    this.#sink.abort?.();
  }

  async #run(): Promise<void> {
    // Not in the turn of whoever emits.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      for (const [index, { event, at }] of batch.entries()) {
        try {
          await this.#sink.emit(event, at);
        } catch {
          this.#lost += 1;
        }
        if (this.#abandoned) {
          this.#lost += batch.length - index - 1;
          return;
        }
        // What came meanwhile counts together with what is left of this batch.
        const excess = batch.length - index - 1 + this.#queue.length - this.#most;
        if (excess > 0) this.#lost += this.#queue.splice(-excess).length;
      }
    }
    // In the same turn as the look at the queue: what is added after it begins anew.
    this.#running = undefined;
  }
}
