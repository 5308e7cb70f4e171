import { describe, expect, test } from 'vitest';
import { hearthScope, type Mock } from '../support/daemon.js';
import { askOnce, type Frame, say } from '../support/raw-client.js';
import { until } from '../support/wait.js';

describe('backends that fail', () => {
  const hearth = hearthScope('test');

  test.each([
    ['not_ready', 'backend_unavailable'],
    ['unavailable', 'backend_unavailable'],
    ['invalid_request', 'invalid_request'],
    ['internal', 'internal'],
  ] as const)(
    'row 22: a backend that answers %s before the first token is one frame, %s',
    async (fault, code) => {
      const daemon = await hearth.serve({ mock: { pre_stream_error: fault } });
      const client = await daemon.connect();
      expect(await client.ask(say('first'))).toEqual([
        { id: 'first', type: 'error', code, message: expect.any(String) as string },
      ]);
      // The connection stays usable.
      expect(await client.ask(say('second'))).toMatchObject([{ id: 'second', type: 'error', code }]);
      client.destroy();
      expect(
        daemon.log.matching({ msg: 'request_error_pre_stream', req_id: 'first', backend: 'mock' }),
      ).toHaveLength(1);
    },
  );

  test.each<Mock>([
    { name: 'broken', pre_stream_error: 'unavailable' },
    { name: 'broken', mid_stream_drop_after: 0 },
  ])('row 24: a failure of %j is neither tried again nor given to another backend', async (broken) => {
    const daemon = await hearth.serve({ mock: [broken, { name: 'sound' }] });
    expect(await askOnce(daemon.home.inferenceSocket, say('once'))).toMatchObject([
      { id: 'once', type: 'error', code: 'backend_unavailable' },
    ]);
    await daemon.stop();
    const attempts = daemon.log.records().filter((record) => record['req_id'] === 'once');
    expect(attempts).toHaveLength(1);
    expect(attempts).toMatchObject([{ backend: 'broken' }]);
  });

  test('row 78: every knob of the mock is honoured', async () => {
    const plain = await hearth.serve({ mock: {} });
    expect(await askOnce(plain.home.inferenceSocket, say('plain'))).toMatchObject([
      { type: 'token', content: 'mock-response' },
      {
        type: 'done',
        content: 'mock-response',
        backend: 'mock',
        usage: { prompt_tokens: 0, completion_tokens: 1 },
      },
    ]);

    const tuned = await hearth.serve({
      mock: { name: 'tuned', tokens: ['a', 'b', 'c'], token_delay_ms: 40 },
    });
    const since = performance.now();
    expect((await askOnce(tuned.home.inferenceSocket, say('tuned'))).at(-1)).toMatchObject({
      content: 'abc',
      backend: 'tuned',
    });
    expect(performance.now() - since).toBeGreaterThanOrEqual(115);

    const dropping = await hearth.serve({ mock: { tokens: ['a', 'b', 'c'], mid_stream_drop_after: 2 } });
    expect((await askOnce(dropping.home.inferenceSocket, say('drop'))).map((frame) => frame['type'])).toEqual(
      ['token', 'token', 'error'],
    );
    // pre_stream_error is row 22; ready_after_ms is rows 46 and 47.
  });

  test('row 78: without --mock the mock engine has its defaults', async () => {
    const daemon = await hearth.serve({ plain: true, args: ['--engine', 'mock'] });
    expect((await askOnce(daemon.home.inferenceSocket, say('bare'))).at(-1)).toMatchObject({
      content: 'mock-response',
    });
  });
});

describe('any mixture of requests and failures', () => {
  const hearth = hearthScope('test');
  const modes: readonly Mock[] = [
    { tokens: ['a', 'b', 'c'] },
    { tokens: ['a', 'b'], token_delay_ms: 1 },
    { tokens: ['a', 'b'], mid_stream_drop_after: 1 },
    { tokens: [] },
    { pre_stream_error: 'not_ready' },
    { pre_stream_error: 'unavailable' },
    { pre_stream_error: 'invalid_request' },
    { pre_stream_error: 'internal' },
  ];

  test('row 23: of 1000 requests over all modes, each id gets exactly one terminal frame or the end', async () => {
    const perMode = 125;
    const total = { answered: 0, leftAlone: 0 };
    for (const [index, mock] of modes.entries()) {
      const daemon = await hearth.serve({ mock, args: ['--active-permits', '4', '--queue-depth', '20'] });
      const random = generator(index + 1);
      const clients = await Promise.all(Array.from({ length: 5 }, () => daemon.connect()));
      await Promise.all(
        clients.map(async (client, lane) => {
          // The last lane goes away in the middle; all others read to the end.
          const leaves = lane === clients.length - 1;
          const count = perMode / clients.length;
          for (let turn = 0; turn < count; turn += 1)
            await client.sendJson(randomRequest(`${lane}-${turn}`, random));
          if (leaves) {
            client.destroy();
            total.leftAlone += count;
            return;
          }
          client.halfClose();
          const frames = await client.rest();
          expectOneEndEach(frames, lane, count);
          total.answered += count;
        }),
      );
      // The daemon is as sound as before.
      const [last] = (await askOnce(daemon.home.inferenceSocket, { id: 'last', messages: [] })).slice(-1);
      expect(last).toMatchObject({ id: 'last', code: 'invalid_request' });
      await daemon.stop();
    }
    expect(total).toEqual({ answered: 800, leftAlone: 200 });
  });

  test('row 23: the log agrees: one outcome for each request', async () => {
    const daemon = await hearth.serve({ mock: { tokens: ['a', 'b'], token_delay_ms: 1 } });
    const client = await daemon.connect();
    const ids = Array.from({ length: 10 }, (_, index) => `r${index}`);
    await client.sendJson(...ids.map((id) => say(id)));
    client.halfClose();
    await client.rest();
    await until(
      () => (ids.every((id) => outcomes(daemon.log.records(), id) > 0) ? true : undefined),
      () => 'a request without an outcome in the log',
    );
    expect(ids.map((id) => outcomes(daemon.log.records(), id))).toEqual(ids.map(() => 1));
  });
});

function outcomes(records: readonly Frame[], id: string): number {
  return records.filter((record) => record['req_id'] === id).length;
}

function expectOneEndEach(frames: readonly Frame[], lane: number, count: number): void {
  const ends = new Map<unknown, number>();
  for (const frame of frames) {
    if (frame['type'] === 'token') expect(ends.get(frame['id'])).toBeUndefined();
    else ends.set(frame['id'], (ends.get(frame['id']) ?? 0) + 1);
  }
  const wanted = Array.from({ length: count }, (_, turn) => [`${lane}-${turn}`, 1] as const);
  expect(new Map([...ends].toSorted())).toEqual(new Map(wanted.toSorted()));
}

/** Mostly sound, sometimes wrong in one field. */
function randomRequest(id: string, random: () => number): Readonly<Record<string, unknown>> {
  const kind = Math.floor(random() * 8);
  if (kind === 0) return { id, messages: [] };
  if (kind === 1) return say(id, { image_token_budget: 999 });
  if (kind === 2) return say(id, { stream: false });
  if (kind === 3) return say(id, { max_tokens: 1 });
  if (kind === 4) return say(id, { temperature: 'hot' });
  return say(id);
}

/** Numbers in [0, 1) from a seed (mulberry32), so that a failure can be had again. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
