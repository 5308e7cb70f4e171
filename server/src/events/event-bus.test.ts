import { type EngineEvent, readEngineEvent } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import type { GenerationEvent } from '../daemon-api.js';
import { EventBus, type EventSink, MemorySink, nullSink } from './event-bus.js';
import { observeGeneration } from './observe-generation.js';

const served: EngineEvent = {
  kind: 'request_served',
  route: 'ndjson',
  model: 'm',
  provider: 'mock',
  latency_ms: 42,
  status_code: 200,
};

const turn = async (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

describe('row 95: event kinds', () => {
  it.each([
    { kind: 'engine_started', model: 'm', port: 8080 },
    { kind: 'model_loaded', model: 'm' },
    { kind: 'warm_up_complete', model: 'm' },
    { ...served },
    { kind: 'engine_error', model: 'm', error: 'engine_crashed' },
    { kind: 'engine_stopping', model: 'm' },
  ])('row 95: $kind has its fields', (event) => {
    expect(readEngineEvent(event)).toEqual({ kind: 'event', event });
  });

  it('row 95: a kind of a later daemon is passed over, and a known one without its fields is not', () => {
    expect(readEngineEvent({ kind: 'engine_dreamt', of: 'sheep' })).toEqual({ kind: 'unknown' });
    expect(readEngineEvent({ kind: 'model_loaded' })).toEqual({ kind: 'malformed' });
    expect(readEngineEvent({})).toEqual({ kind: 'malformed' });
  });
});

it('row 97: the null sink discards, and nothing is lost by it', async () => {
  const bus = new EventBus([nullSink]);
  bus.emit(served);
  await bus.close();
  expect([...bus.lost.values()]).toEqual([0]);
});

it('row 98: the memory sink gives an ordered copy; empty by default', async () => {
  const sink = new MemorySink();
  expect(sink.snapshot()).toEqual([]);
  const bus = new EventBus([sink]);
  bus.emit({ kind: 'model_loaded', model: 'm' });
  bus.emit(served);
  await bus.close();
  const copy = sink.snapshot();
  expect(copy).toHaveLength(2);
  expect(copy).toMatchObject([{ kind: 'model_loaded' }, { kind: 'request_served', latency_ms: 42 }]);
  sink.emit(served);
  expect(copy).toHaveLength(2);
});

/** Sinks that misbehave, each in its way. */
const bad: Readonly<Record<string, EventSink['emit']>> = {
  throws: () => {
    throw new Error('no');
  },
  rejects: async () => Promise.reject(new Error('no')),
  hangs: async () => new Promise(() => undefined),
};

describe('row 96: sinks that misbehave', () => {
  it.each(Object.entries(bad))(
    'one that %s loses its own events, counted, and no others',
    async (name, emit) => {
      const good = new MemorySink();
      const bus = new EventBus([{ name, emit }, good], { most: 8, closeMs: 20 });
      const count = 50;
      for (let n = 0; n < count; n += 1) {
        bus.emit(served);
        await turn();
      }
      // The one that hangs holds one in its hands and eight in its queue; all others are counted at once.
      expect(bus.lost.get(name)).toBe(name === 'hangs' ? count - 9 : count);
      await bus.close();
      // What has not gone out by the end is lost too.
      expect(bus.lost.get(name)).toBe(name === 'hangs' ? count - 1 : count);
      expect(good.snapshot()).toHaveLength(count);
      expect(bus.lost.get('memory')).toBe(0);
    },
  );

  it.each(Object.entries(bad))(
    'one that %s changes no response, and delays none by 10 ms',
    async (name, emit) => {
      let delay = Infinity;
      // Two times of a few milliseconds are compared: what the machine's other work spoils is measured again.
      for (let attempt = 0; attempt < 10 && delay >= 10; attempt += 1) {
        const plain = await time(new EventBus([]));
        const watched = await time(new EventBus([{ name, emit }]));
        expect(watched.events).toEqual(plain.events);
        delay = Math.min(delay, watched.ms - plain.ms);
      }
      expect(delay).toBeLessThan(10);
    },
  );

  it('whoever emits is not held up by a queue that is full', async () => {
    const bus = new EventBus([{ name: 'hangs', emit: async () => new Promise(() => undefined) }]);
    const since = process.cpuUsage();
    for (let n = 0; n < 20_000; n += 1) bus.emit(served);
    expect(process.cpuUsage(since).user / 1000).toBeLessThan(1000);
    await turn();
    expect(bus.lost.get('hangs')).toBeGreaterThanOrEqual(20_000 - 1024 - 1);
  });
});

/** Runs a generation of a few tokens through the watch and gives what came and how long it took: the best of five. */
async function time(bus: EventBus): Promise<{ events: readonly GenerationEvent[]; ms: number }> {
  let best = Infinity;
  let events: GenerationEvent[] = [];
  for (let round = 0; round < 5; round += 1) {
    const since = performance.now();
    events = [];
    const watched = observeGeneration(generation(), {
      route: 'ndjson',
      modelOf: () => 'm',
      emit: (event) => bus.emit(event),
      onGap: () => undefined,
      now: () => performance.now(),
    });
    for await (const event of watched) events.push(event);
    await turn();
    best = Math.min(best, performance.now() - since);
  }
  return { events, ms: best };
}

async function* generation(): AsyncGenerator<GenerationEvent> {
  for (const text of ['a', 'b', 'c']) {
    await turn();
    yield { kind: 'token', text };
  }
  yield {
    kind: 'done',
    text: 'abc',
    usage: { prompt_tokens: 1, completion_tokens: 3 },
    stopReason: 'end',
    backend: 'mock',
    queueMs: 0,
    firstTokenMs: 0,
    totalMs: 0,
  };
}
