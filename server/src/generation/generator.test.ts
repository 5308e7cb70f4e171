import type { ActivityEvent } from '@hearth/protocol';
import { parseGenerateRequest } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { Admission } from '../admission/admission.js';
import type { GenerationEvent } from '../daemon-api.js';
import { MockEngine, type MockOptions } from '../engine/mock/mock-engine.js';
import { Router } from '../router/router.js';
import { generate, type GeneratorParts } from './generator.js';
import { SideDoor } from './side-door.js';
import { StreamRegistry } from './stream-registry.js';

const never = new AbortController().signal;
const caller = { name: 'test' };
const request = parseGenerateRequest({ id: 'a', messages: [{ role: 'user', content: 'x' }] });

function setUp(mock: Partial<MockOptions> = {}, permits = 1) {
  const now = (): number => performance.now();
  const engine = new MockEngine({ tokens: ['alpha ', 'beta ', 'gamma'], ...mock });
  engine.setReady(true);
  const recorded: ActivityEvent[] = [];
  const parts: GeneratorParts = {
    admission: new Admission({ activePermits: permits, queueDepth: 10 }),
    router: new Router([engine], { now }),
    streams: new StreamRegistry(now, () => undefined),
    sideDoor: new SideDoor(),
    record: (_level, _component, event) => recorded.push(event),
    now,
  };
  return { engine, parts, recorded };
}

async function all(events: AsyncIterable<GenerationEvent>): Promise<GenerationEvent[]> {
  const list: GenerationEvent[] = [];
  for await (const event of events) list.push(event);
  return list;
}

describe('the life of a request', () => {
  it('rows 9, 10, 11: tokens in order, then an end with the whole text and the counts', async () => {
    const { parts } = setUp();
    const events = await all(generate(parts, request, caller, never));
    expect(events.slice(0, 3)).toEqual(['alpha ', 'beta ', 'gamma'].map((text) => ({ kind: 'token', text })));
    expect(events[3]).toMatchObject({
      kind: 'done',
      text: 'alpha beta gamma',
      stopReason: 'end',
      backend: 'mock',
    });
    expect(events[3]).toMatchObject({ usage: { completion_tokens: 3 } });
  });

  it('row 24: a backend that fails is asked exactly once', async () => {
    const { engine, parts } = setUp({ preStreamError: 'unavailable' });
    await expect(all(generate(parts, request, caller, never))).rejects.toMatchObject({
      code: 'backend_unavailable',
    });
    expect(engine.generateCalls).toBe(1);
  });

  it('row 21: a stream that breaks off is a failure after its tokens', async () => {
    const { parts, recorded } = setUp({ midStreamDropAfter: 1 });
    const events = generate(parts, request, caller, never);
    expect((await events.next()).value).toEqual({ kind: 'token', text: 'alpha ' });
    await expect(events.next()).rejects.toMatchObject({ code: 'backend_unavailable' });
    expect(recorded.map((event) => event.msg)).toEqual(['request_error_mid_stream']);
  });

  it.each([
    ['not_ready', 'backend_unavailable'],
    ['unavailable', 'backend_unavailable'],
    ['invalid_request', 'invalid_request'],
    ['internal', 'internal'],
  ] as const)('row 22: %s before the stream becomes %s', async (preStreamError, code) => {
    const { parts } = setUp({ preStreamError });
    await expect(all(generate(parts, request, caller, never))).rejects.toMatchObject({ code });
  });

  it("row 76: a client's mistakes never open the breaker; the backend's own failures do", async () => {
    const mistaken = setUp({ preStreamError: 'invalid_request' });
    for (let index = 0; index < 5; index += 1) {
      await expect(all(generate(mistaken.parts, request, caller, never))).rejects.toThrow();
    }
    expect(mistaken.parts.router.breakerOf(mistaken.engine)).toBe('closed');

    const failing = setUp({ preStreamError: 'unavailable' });
    for (let index = 0; index < 3; index += 1) {
      await expect(all(generate(failing.parts, request, caller, never))).rejects.toThrow();
    }
    expect(failing.parts.router.breakerOf(failing.engine)).toBe('open');
  });

  it('row 67: a request that is cancelled in the queue never reaches the backend', async () => {
    const { engine, parts, recorded } = setUp({ tokenDelayMs: 60_000 });
    const running = new AbortController();
    const first = all(generate(parts, request, caller, running.signal));
    const queued = new AbortController();
    const second = all(generate(parts, request, caller, queued.signal));
    await new Promise(setImmediate);
    expect(parts.admission.queued).toBe(1);
    queued.abort();
    expect((await second).at(-1)).toMatchObject({ kind: 'done', stopReason: 'cancelled' });
    running.abort();
    await first;
    expect(engine.generateCalls).toBe(1);
    expect(recorded).toContainEqual(expect.objectContaining({ msg: 'request_cancelled', stage: 'queued' }));
  });

  it('row 66: a request that is cancelled while it runs frees its slot, and is no failure', async () => {
    const { engine, parts, recorded } = setUp({ tokenDelayMs: 60_000 });
    const controller = new AbortController();
    const events = all(generate(parts, request, caller, controller.signal));
    await new Promise(setImmediate);
    controller.abort();
    expect((await events).at(-1)).toMatchObject({ stopReason: 'cancelled' });
    expect(parts.admission.permitsInUse).toBe(0);
    expect(parts.streams.size).toBe(0);
    expect(parts.router.breakerOf(engine)).toBe('closed');
    expect(recorded.map((event) => event.msg)).toEqual(['request_cancelled']);
  });

  it('a consumer that goes away between two tokens frees everything', async () => {
    const { parts, recorded } = setUp();
    for await (const event of generate(parts, request, caller, never)) {
      expect(event.kind).toBe('token');
      break;
    }
    expect(parts.admission.permitsInUse).toBe(0);
    expect(parts.streams.size).toBe(0);
    expect(recorded.map((event) => event.msg)).toEqual(['request_cancelled']);
  });

  it('a consumer that holds a token keeps no slot once its request is cancelled', async () => {
    const { parts } = setUp();
    const controller = new AbortController();
    const events = generate(parts, request, caller, controller.signal);
    expect((await events.next()).value).toMatchObject({ kind: 'token' });
    controller.abort();
    await new Promise(setImmediate);
    expect(parts.admission.permitsInUse).toBe(0);
    expect(parts.streams.size).toBe(0);
    // And when it comes back after all, it is told.
    expect((await events.next()).value).toMatchObject({
      kind: 'done',
      stopReason: 'cancelled',
      text: 'alpha ',
    });
  });

  it('a consumer that goes away before the first token gives a probe back', async () => {
    const { engine, parts } = setUp();
    let now = 0;
    const router = new Router([engine], { now: () => now });
    for (let index = 0; index < 3; index += 1) router.route(undefined).settle('failure');
    now = 30_000;
    const withEvents = { ...request, events: true };
    for await (const event of generate({ ...parts, router }, withEvents, caller, never)) {
      expect(event.kind).toBe('started');
      break;
    }
    expect(() => router.route(undefined)).not.toThrow();
  });

  it('a consumer that goes away at news of the queue gives back the permit that it was given meanwhile', async () => {
    const { parts } = setUp();
    const first = await parts.admission.acquire(
      { id: 'first', client: 'other', class: 'chat', model: undefined },
      never,
    );
    const waiting = generate(parts, { ...request, events: true }, caller, never);
    expect((await waiting.next()).value).toMatchObject({ kind: 'queued' });
    if (first.kind === 'granted') first.permit.release();
    expect(parts.admission.permitsInUse).toBe(1);
    await waiting.return(undefined);
    await new Promise(setImmediate);
    expect(parts.admission.permitsInUse).toBe(0);
  });

  it('how far a long prompt has been read is told to who asked for events, and shown of the stream', async () => {
    const pieces = [{ prefill: 0.25 }, { text: 'a' }];
    const { parts } = setUp({ script: [{ pieces }] });
    const seen: unknown[] = [];
    for await (const event of generate(parts, { ...request, events: true }, caller, never)) {
      seen.push([event.kind, parts.streams.list()[0]?.progress]);
      if (event.kind === 'prefill')
        expect(event).toEqual({ kind: 'prefill', backend: 'mock', progress: 0.25 });
    }
    expect(seen).toEqual([
      ['started', undefined],
      ['prefill', 0.25],
      ['token', undefined],
      ['done', undefined],
    ]);
    const plain = await all(generate(parts, request, caller, never));
    expect(plain.map(({ kind }) => kind)).toEqual(['token', 'done']);
    expect(plain.at(-1)).toMatchObject({ usage: { completion_tokens: 1 }, stopReason: 'end' });
  });

  it('a stream can be cancelled by its id, and nobody else is', async () => {
    const { parts } = setUp({ tokenDelayMs: 5 }, 2);
    const one = all(generate(parts, request, caller, never));
    const other = all(generate(parts, request, { name: 'other' }, never));
    await new Promise(setImmediate);
    const streamId = parts.streams.list().find((stream) => stream.client === 'test')?.streamId ?? '';
    expect(parts.streams.cancel(streamId)).toBe(true);
    expect(parts.streams.cancel('unknown')).toBe(false);
    expect((await one).at(-1)).toMatchObject({ stopReason: 'cancelled' });
    expect((await other).at(-1)).toMatchObject({ stopReason: 'end' });
  });

  it('row 59: with one permit, never more than one generation runs', async () => {
    const { engine, parts } = setUp({ tokenDelayMs: 1 });
    await Promise.all(Array.from({ length: 8 }, () => all(generate(parts, request, caller, never))));
    expect(engine.generateCalls).toBe(8);
    expect(engine.mostRunning).toBe(1);
  });

  it('row 17: what is left out of a request reaches the backend as its default', async () => {
    const { engine, parts } = setUp();
    const seen: unknown[] = [];
    const play = engine.generate.bind(engine);
    engine.generate = (resolved, signal) => {
      seen.push(resolved.sampling);
      return play(resolved, signal);
    };
    await all(generate(parts, request, caller, never));
    expect(seen).toEqual([
      expect.objectContaining({ temperature: 1, topP: 0.95, topK: 64, minP: 0, maxTokens: 1000, stop: [] }),
    ]);
  });
});
