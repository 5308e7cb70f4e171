import {
  statusBodySchema,
  modelsBodySchema,
  metricsBodySchema,
  activityRecordSchema,
} from '@hearth/protocol';
import { describe, expect, test } from 'vitest';
import { ClientProcess } from '../support/client-process.js';
import { configured, hearthScope, type HearthProcess } from '../support/daemon.js';
import { HeldService, serveBefore } from '../support/held-service.js';
import { type Frame, RawClient, say } from '../support/raw-client.js';
import { least, within } from '../support/wait.js';

/** Sends a request and gives the next frame, which must be its answer. */
async function request(client: RawClient, value: Readonly<Record<string, unknown>>): Promise<Frame> {
  await client.sendJson(value);
  return client.frame();
}

/** Subscribes and gives the subscription's number. */
async function subscribe(
  client: RawClient,
  channel: string,
  extra: Readonly<Record<string, unknown>> = {},
): Promise<number> {
  const frame = await request(client, { type: 'subscribe', id: `sub ${channel}`, channel, ...extra });
  expect(frame).toMatchObject({ type: 'subscribed', id: `sub ${channel}`, channel });
  return Number(frame['subscription']);
}

/** The next frame of this type; others are passed over. */
async function next(client: RawClient, type: string): Promise<Frame> {
  for (;;) {
    const frame = await client.frame();
    if (frame['type'] === type) return frame;
  }
}

describe('the daemon’s own channels', () => {
  const hearth = hearthScope('test');

  test('each tells its present state at once, and status and metrics what becomes of it', async () => {
    const daemon = await hearth.serve({ mock: { tokens: ['a', 'b'], name: 'm' } });
    const watcher = await daemon.connect();
    const schemas = {
      status: statusBodySchema,
      models: modelsBodySchema,
      metrics: metricsBodySchema,
      activity: activityRecordSchema,
    };
    for (const [channel, schema] of Object.entries(schemas)) {
      const one = await daemon.connect();
      await subscribe(one, channel);
      const event = await next(one, 'event');
      expect(event).toMatchObject({ id: `sub ${channel}`, seq: 1 });
      expect(schema.safeParse(event['body']).error?.message).toBeUndefined();
      one.destroy();
    }
    const metrics = await subscribe(watcher, 'metrics');
    const served = await daemon.connect();
    await served.ask(say('one'));
    for (;;) {
      const { body, seq } = await next(watcher, 'event');
      await watcher.sendJson({ type: 'ack', subscription: metrics, seq });
      if ((body as Frame)['requests'] === 1) {
        expect(body).toMatchObject({ failed: 0, completion_tokens: 2, subscriptions: 1 });
        break;
      }
    }
    watcher.destroy();
    served.destroy();
  });

  test('a subscriber is sent no more than it allows until it acknowledges', async () => {
    const daemon = await hearth.serve();
    const slow = await daemon.connect();
    const publisher = await daemon.connect();
    const subscription = await subscribe(slow, 'test/pace', { max_in_flight: 2 });
    for (let n = 1; n <= 5; n += 1) {
      const frame = await request(publisher, { type: 'publish', id: `p${n}`, channel: 'test/pace', body: n });
      expect(frame).toMatchObject({ type: 'published', delivered: 1, duplicate: false });
    }
    expect(await slow.frames(2)).toMatchObject([
      { seq: 1, body: 1 },
      { seq: 2, body: 2 },
    ]);
    // Nothing more comes before the acknowledgement: the answer to a later request overtakes what waits.
    expect(await request(slow, { type: 'unsubscribe', id: 'u', subscription: 999 })).toMatchObject({
      type: 'unsubscribed',
      found: false,
    });
    await slow.sendJson({ type: 'ack', subscription, seq: 2 });
    expect(await slow.frames(2)).toMatchObject([
      { seq: 3, body: 3 },
      { seq: 4, body: 4 },
    ]);
    await slow.sendJson({ type: 'ack', subscription, seq: 4 });
    expect(await slow.frame()).toMatchObject({ seq: 5, body: 5 });
    expect(await request(slow, { type: 'unsubscribe', id: 'u', subscription })).toMatchObject({
      found: true,
    });
    slow.destroy();
    publisher.destroy();
  });

  test('row 157: an inbox that overflows sheds its subscription with an error, and nothing else', async () => {
    const daemon = await hearth.serve();
    const lazy = await daemon.connect();
    const good = await daemon.connect();
    const publisher = await daemon.connect();
    const stalled = await subscribe(lazy, 'test/flood', { max_in_flight: 1 });
    const calm = await subscribe(lazy, 'test/calm');
    await subscribe(good, 'test/flood', { max_in_flight: 4096 });
    // One on its way, 256 that wait, and one too many.
    const sent = 258;
    for (let n = 1; n <= sent; n += 1)
      await request(publisher, { type: 'publish', id: 'p', channel: 'test/flood', body: n });
    expect(await lazy.frame()).toMatchObject({ type: 'event', subscription: stalled, body: 1 });
    expect(await lazy.frame()).toMatchObject({
      type: 'error',
      id: 'sub test/flood',
      code: 'slow_consumer',
      retryable: false,
      subscription: stalled,
    });
    // The other subscription of the same connection, and the same channel of another, go on.
    await request(publisher, { type: 'publish', id: 'p', channel: 'test/calm', body: 'still here' });
    expect(await lazy.frame()).toMatchObject({ subscription: calm, body: 'still here' });
    expect((await good.frames(sent)).at(-1)).toMatchObject({ seq: sent, body: sent });
    expect(await request(lazy, { type: 'ack', id: 'a', subscription: stalled, seq: 1 })).toMatchObject({
      type: 'error',
      id: 'a',
      code: 'not_found',
    });
    for (const one of [lazy, good, publisher]) one.destroy();
  });

  test('row 157: 4 MiB that wait are the bound too', async () => {
    const daemon = await hearth.serve();
    const lazy = await daemon.connect();
    const publisher = await daemon.connect();
    await subscribe(lazy, 'test/big', { max_in_flight: 1 });
    const body = 'x'.repeat(1_000_000);
    for (let n = 0; n < 6; n += 1)
      await request(publisher, { type: 'publish', id: 'p', channel: 'test/big', body });
    expect(await lazy.frames(2)).toMatchObject([{ type: 'event' }, { type: 'error', code: 'slow_consumer' }]);
    for (const one of [lazy, publisher]) one.destroy();
  });

  test('row 158: a frame longer than a connection may take ends that connection only', async () => {
    const home = hearth.makeHome();
    const args = configured(home, { limits: { outbound_bytes: 65_536 } });
    const daemon = await hearth.serve({ home, args });
    const one = await daemon.connect();
    const other = await daemon.connect();
    const publisher = await daemon.connect();
    await subscribe(one, 'test/long');
    await subscribe(other, 'test/short');
    await request(publisher, { type: 'publish', channel: 'test/long', body: 'x'.repeat(65_536) });
    await one.closed();
    await request(publisher, { type: 'publish', channel: 'test/short', body: 'fine' });
    expect(await other.frame()).toMatchObject({ type: 'event', body: 'fine' });
    for (const client of [one, other, publisher]) client.destroy();
  });

  test('row 156: one subscription and one answer too many are refused with the cap and its limit', async () => {
    const daemon = await hearth.serve();
    const client = await daemon.connect();
    const mute = await daemon.connect();
    for (let n = 0; n < 32; n += 1) await subscribe(client, `test/c${n}`);
    const refused = await request(client, { type: 'subscribe', id: 'x', channel: 'test/more' });
    expect(refused).toMatchObject({ type: 'error', id: 'x', code: 'limit_exceeded', retryable: true });
    expect(refused['message']).toMatch(/limits\.subscriptions.*32/);

    await request(mute, { type: 'handle', kinds: ['confirm_download'] });
    const ask = { type: 'ask', kind: 'confirm_download', question: { model: 'm' } };
    await client.sendJson(...Array.from({ length: 33 }, (_, n) => ({ ...ask, id: `q${n}` })));
    const pending = await client.frame();
    expect(pending).toMatchObject({ type: 'error', id: 'q32', code: 'limit_exceeded' });
    expect(pending['message']).toMatch(/limits\.pending.*32/);
    for (const one of [client, mute]) one.destroy();
  });

  test('bad input gets its typed error, and the connection goes on', async () => {
    const daemon = await hearth.serve();
    const client = await daemon.connect();
    const wrong: readonly [Readonly<Record<string, unknown>>, string, RegExp][] = [
      [{ type: 'subscribe', channel: 'statsu' }, 'not_found', /status, activity, metrics, models/],
      [{ type: 'subscribe', channel: '../etc' }, 'not_found', /channel/],
      [{ type: 'subscribe', channel: 'status', max_in_flight: 0 }, 'invalid_request', /max_in_flight/],
      [{ type: 'subscribe', channel: 'a/b', from_position: 1 }, 'invalid_request', /from_position/],
      [{ type: 'ack', subscription: 77, seq: 1 }, 'not_found', /subscription/],
      [{ type: 'publish', channel: 'status', body: 1 }, 'forbidden', /only the daemon/],
      [{ type: 'publish', channel: 'nowhere', body: 1 }, 'not_found', /channel/],
      [{ type: 'publish', channel: 'a/b' }, 'invalid_request', /body/],
      [{ type: 'publish', channel: 'a/b', body: 'x'.repeat(1_048_577) }, 'frame_too_large', /body/],
      [{ type: 'reply', correlation: 5, body: {} }, 'not_found', /correlation/],
      [{ type: 'ask', kind: 'confirm_download', question: { model: 'm' } }, 'not_found', /kind/],
      [{ type: 'ask', kind: 'make_coffee', question: {} }, 'invalid_request', /kind/],
      [{ type: 'ask', kind: 'file_range', question: { document: 'd' } }, 'invalid_request', /from_line/],
      [{ type: 'converse', conversation: 'c', channel: 'a/b' }, 'not_found', /channel/],
      [{ type: 'say', conversation: 'c', body: 1 }, 'not_found', /conversation/],
      [{ type: 'end', conversation: 'c' }, 'not_found', /conversation/],
    ];
    for (const [index, [value, code, message]] of wrong.entries()) {
      const frame = await request(client, { id: `w${index}`, ...value });
      expect(frame, JSON.stringify(value).slice(0, 80)).toMatchObject({
        type: 'error',
        id: `w${index}`,
        code,
      });
      expect(frame['message']).toMatch(message);
    }
    expect((await client.ask(say('fine'))).at(-1)).toMatchObject({ type: 'done' });
    client.destroy();
  });

  test('a subscription of another connection is nobody else’s to acknowledge or to end', async () => {
    const daemon = await hearth.serve();
    const [owner, stranger] = [await daemon.connect(), await daemon.connect()];
    const subscription = await subscribe(owner, 'a/b');
    await request(stranger, { type: 'publish', channel: 'a/b', body: 1 });
    expect(await request(stranger, { type: 'ack', subscription, seq: 1 })).toMatchObject({
      code: 'not_found',
    });
    expect(await request(stranger, { type: 'unsubscribe', subscription })).toMatchObject({ found: false });
    expect(await owner.frame()).toMatchObject({ seq: 1 });
    expect(await request(owner, { type: 'ack', subscription, seq: 2 })).toMatchObject({
      code: 'invalid_request',
    });
    for (const one of [owner, stranger]) one.destroy();
  });

  test('a flood of requests is answered one by one, at the pace of its sender, and nobody else waits', async () => {
    const daemon = await hearth.serve();
    const [flooder, other] = [await daemon.connect(), await daemon.connect()];
    const count = 20_000;
    const flood = Array.from({ length: count }, () => '{"type":"publish","channel":"a/b","body":0}\n').join(
      '',
    );
    void flooder.send(flood).catch(() => undefined);
    expect((await other.ask(say('through'))).at(-1)).toMatchObject({ type: 'done' });
    const answers = await flooder.frames(count);
    expect(answers.every((frame) => frame['type'] === 'published')).toBe(true);
    for (const one of [flooder, other]) one.destroy();
  });
});

describe('connections and what they hold', () => {
  const hearth = hearthScope('test');

  test('rows 140, 141: each connection is counted; one that is cut off is forgotten within 2 s', async () => {
    const daemon = await hearth.serve();
    const watcher = await daemon.connect();
    const subscription = await subscribe(watcher, 'status');
    const countIs = async (count: number): Promise<void> => {
      for (;;) {
        const { body, seq } = await next(watcher, 'event');
        await watcher.sendJson({ type: 'ack', subscription, seq });
        if (((body as Frame)['connections'] as Frame)['inference'] === count) return;
      }
    };
    await countIs(1);
    const two = await daemon.connect();
    const delay = await least(2000, async () => {
      const crashing = new ClientProcess(daemon.home.inferenceSocket, [
        { type: 'subscribe', channel: 'a/b' },
      ]);
      await crashing.frame();
      await countIs(3);
      await crashing.kill();
      const since = performance.now();
      await countIs(2);
      return performance.now() - since;
    });
    expect(delay).toBeLessThan(2000);
    expect((await two.ask(say('lives'))).at(-1)).toMatchObject({ type: 'done' });
    for (const client of [watcher, two]) client.destroy();
  });

  test('rows 142, 143: subscribers are told of the drain and of the end, and a client of version 1 of neither', async () => {
    const service = await HeldService.listen(['a', 'b', 'c', 'd']);
    const daemon = await serveBefore(hearth, service);
    const [subscriber, running, plain] = [
      await daemon.connect(),
      await daemon.connect(),
      await daemon.connect(),
    ];
    await subscribe(subscriber, 'a/b');
    await running.sendJson(say('long'));
    await running.frame();
    daemon.signal('SIGTERM');
    expect(await next(subscriber, 'disconnect')).toEqual({ type: 'disconnect', id: '', reason: 'draining' });
    // Still served, while the other's request runs.
    expect(await request(subscriber, { type: 'publish', channel: 'a/b', body: 'last' })).toMatchObject({
      type: 'published',
    });
    expect(await next(subscriber, 'event')).toMatchObject({ body: 'last' });
    service.release();
    expect(await subscriber.rest()).toEqual([{ type: 'disconnect', id: '', reason: 'closing' }]);
    expect((await running.rest()).at(-1)).toMatchObject({ type: 'done', stop_reason: 'end' });
    expect(await plain.rest()).toEqual([]);
    expect(await daemon.end()).toMatchObject({ code: 0 });
  });

  test('row 167: with a key set, anything but the key as the first frame is closed without an answer', async () => {
    const args = ['--tcp', '127.0.0.1:0', '--tcp-key-env', 'A_KEY'];
    const daemon = await hearth.serve({ args, env: { A_KEY: 'right' } });
    const port = await tcpPort(daemon);
    const firsts = [
      { type: 'subscribe', channel: 'status' },
      { type: 'publish', channel: 'a/b', body: 1 },
      { type: 'handle', kinds: ['confirm_download'] },
      { type: 'auth', key: 'wrong' },
      say('generation'),
    ];
    for (const first of firsts) {
      const client = await RawClient.connect({ port });
      await client.sendJson(first);
      expect(await client.rest()).toEqual([]);
      client.destroy();
    }
    const client = await RawClient.connect({ port });
    await client.sendJson({ type: 'auth', key: 'right' });
    await subscribe(client, 'status');
    client.destroy();
  });
});

describe('questions and answers', () => {
  const hearth = hearthScope('test');
  const question = { type: 'ask', id: 'q', kind: 'confirm_download', question: { model: 'm' } };

  /** A client that answers questions, one that asks, and the question as it came. */
  async function asked(
    daemon: HearthProcess,
    extra: Readonly<Record<string, unknown>> = {},
  ): Promise<{ handler: RawClient; asker: RawClient; correlation: number }> {
    const handler = await daemon.connect();
    await request(handler, { type: 'handle', id: 'h', kinds: ['confirm_download'] });
    const asker = await daemon.connect();
    await asker.sendJson({ ...question, ...extra });
    const push = await handler.frame();
    expect(push).toMatchObject({ type: 'push', id: '', kind: 'confirm_download', question: { model: 'm' } });
    return { handler, asker, correlation: Number(push['correlation']) };
  }

  test('a question goes to who answers it, and its answer to who asked', async () => {
    const daemon = await hearth.serve();
    const { handler, asker, correlation } = await asked(daemon);
    // What is no answer is told to who gave it, and the right one can still come.
    expect(await request(handler, { type: 'reply', id: 'r', correlation, body: { yes: 1 } })).toMatchObject({
      type: 'error',
      id: 'r',
      code: 'invalid_request',
    });
    await handler.sendJson({ type: 'reply', correlation, body: { approved: true } });
    expect(await asker.frame()).toEqual({ type: 'answer', id: 'q', body: { approved: true } });
    // Nobody awaits it any more.
    expect(
      await request(handler, { type: 'reply', id: 'r', correlation, body: { approved: true } }),
    ).toMatchObject({ code: 'not_found' });
    for (const one of [handler, asker]) one.destroy();
  });

  test('row 149: who is asked leaves: who waits hears of it at once', async () => {
    const daemon = await hearth.serve();
    const { handler, asker } = await asked(daemon, { timeout_ms: 600_000 });
    handler.socket.destroySoon();
    expect(await asker.frame()).toMatchObject({
      type: 'error',
      id: 'q',
      code: 'peer_disconnected',
      retryable: true,
    });
    asker.destroy();
  });

  test('row 150: who is asked is killed: who waits hears of it at once', async () => {
    const daemon = await hearth.serve();
    const handler = new ClientProcess(daemon.home.inferenceSocket, [
      { type: 'handle', kinds: ['confirm_download'] },
    ]);
    expect(await handler.frame()).toMatchObject({ type: 'handling' });
    const asker = await daemon.connect();
    await asker.sendJson({ ...question, timeout_ms: 600_000 });
    expect(await handler.frame()).toMatchObject({ type: 'push' });
    await handler.kill();
    expect(await asker.frame()).toMatchObject({ type: 'error', id: 'q', code: 'peer_disconnected' });
    asker.destroy();
  });

  test('row 151: one that leaves takes only its own questions with it', async () => {
    const daemon = await hearth.serve();
    const first = await asked(daemon);
    const second = await asked(daemon);
    first.handler.destroy();
    expect(await first.asker.frame()).toMatchObject({ code: 'peer_disconnected' });
    await second.handler.sendJson({
      type: 'reply',
      correlation: second.correlation,
      body: { approved: false },
    });
    expect(await second.asker.frame()).toMatchObject({ type: 'answer', body: { approved: false } });
    for (const one of [first.asker, second.handler, second.asker]) one.destroy();
  });

  test('row 152: answered and then gone is one answer and no error', async () => {
    const daemon = await hearth.serve();
    const { handler, asker, correlation } = await asked(daemon);
    await handler.sendJson({ type: 'reply', correlation, body: { approved: true } });
    handler.socket.destroySoon();
    expect(await asker.frame()).toMatchObject({ type: 'answer' });
    expect(await request(asker, { ...question, id: 'again' })).toMatchObject({
      id: 'again',
      code: 'not_found',
    });
    asker.destroy();
  });

  test('row 153: too late is told apart from gone', async () => {
    const daemon = await hearth.serve();
    const { handler, asker, correlation } = await asked(daemon, { timeout_ms: 50 });
    expect(await asker.frame()).toMatchObject({ type: 'error', id: 'q', code: 'deadline_exceeded' });
    // A late answer is harmless.
    expect(await request(handler, { type: 'reply', correlation, body: { approved: true } })).toMatchObject({
      code: 'not_found',
    });
    for (const one of [handler, asker]) one.destroy();
  });

  test('who half-closes still gets the answer', async () => {
    const daemon = await hearth.serve();
    const { handler, asker, correlation } = await asked(daemon);
    asker.halfClose();
    await handler.sendJson({ type: 'reply', correlation, body: { approved: true } });
    expect(await asker.rest()).toMatchObject([{ type: 'answer' }]);
    for (const one of [handler, asker]) one.destroy();
  });
});

describe('conversations', () => {
  const hearth = hearthScope('test');

  async function conversation(daemon: HearthProcess): Promise<{ opener: RawClient; other: RawClient }> {
    const other = await daemon.connect();
    await subscribe(other, 'acme/review', { answers: true });
    const opener = await daemon.connect();
    expect(
      await request(opener, { type: 'converse', id: 'o', conversation: 'c1', channel: 'acme/review' }),
    ).toMatchObject({ type: 'conversation', id: 'o', conversation: 'c1', state: 'opened' });
    expect(await other.frame()).toEqual({
      type: 'conversation',
      id: '',
      conversation: 'c1',
      state: 'offered',
      channel: 'acme/review',
    });
    return { opener, other };
  }

  test('both sides speak, with and without awaiting an answer, until one ends it', async () => {
    const daemon = await hearth.serve();
    const { opener, other } = await conversation(daemon);
    expect(await request(opener, { type: 'say', id: 's', conversation: 'c1', body: { a: 1 } })).toMatchObject(
      {
        type: 'said',
        id: 's',
      },
    );
    expect(await other.frame()).toEqual({ type: 'message', id: '', conversation: 'c1', body: { a: 1 } });
    await other.sendJson({ type: 'say', id: 't', conversation: 'c1', body: 'well?', reply: true });
    const message = await opener.frame();
    expect(message).toMatchObject({ type: 'message', body: 'well?' });
    await opener.sendJson({ type: 'reply', correlation: message['correlation'], body: 'yes' });
    expect(await other.frame()).toEqual({ type: 'answer', id: 't', body: 'yes' });
    expect(await request(opener, { type: 'end', id: 'e', conversation: 'c1' })).toMatchObject({
      id: 'e',
      state: 'ended',
    });
    expect(await other.frame()).toMatchObject({
      id: '',
      conversation: 'c1',
      state: 'ended',
      reason: 'ended',
    });
    expect(await request(other, { type: 'say', conversation: 'c1', body: 0 })).toMatchObject({
      code: 'not_found',
    });
    for (const one of [opener, other]) one.destroy();
  });

  test('a name that is in use is refused, and a stranger takes no part', async () => {
    const daemon = await hearth.serve();
    const { opener, other } = await conversation(daemon);
    const stranger = await daemon.connect();
    expect(
      await request(stranger, { type: 'converse', conversation: 'c1', channel: 'acme/review' }),
    ).toMatchObject({ code: 'conflict' });
    expect(await request(stranger, { type: 'say', conversation: 'c1', body: 0 })).toMatchObject({
      code: 'not_found',
    });
    expect(await request(stranger, { type: 'end', conversation: 'c1' })).toMatchObject({ code: 'not_found' });
    for (const one of [opener, other, stranger]) one.destroy();
  });

  test('the side that goes away ends it, and wakes who awaits an answer', async () => {
    const daemon = await hearth.serve();
    const { opener, other } = await conversation(daemon);
    await opener.sendJson({
      type: 'say',
      id: 's',
      conversation: 'c1',
      body: 0,
      reply: true,
      timeout_ms: 30_000,
    });
    await other.frame();
    other.destroy();
    const frames = await opener.frames(2);
    expect(frames).toContainEqual(
      expect.objectContaining({ type: 'error', id: 's', code: 'peer_disconnected' }),
    );
    expect(frames).toContainEqual(
      expect.objectContaining({ type: 'conversation', state: 'ended', reason: 'peer_disconnected' }),
    );
    opener.destroy();
  });

  test('an answer that does not come ends after its time, and nine at once are one too many', async () => {
    const daemon = await hearth.serve();
    const { opener, other } = await conversation(daemon);
    const ask = { type: 'say', conversation: 'c1', body: 0, reply: true };
    await opener.sendJson(...Array.from({ length: 9 }, (_, n) => ({ ...ask, id: `s${n}`, timeout_ms: 200 })));
    const refused = await opener.frame();
    expect(refused).toMatchObject({ id: 's8', code: 'limit_exceeded' });
    expect(refused['message']).toMatch(/limits\.pending_per_conversation.*8/);
    const late = await opener.frames(8);
    expect(late.every((frame) => frame['code'] === 'deadline_exceeded')).toBe(true);
    for (const one of [opener, other]) one.destroy();
  });
});

async function tcpPort(daemon: HearthProcess): Promise<number> {
  const admin = await daemon.admin();
  const ready = await within(admin.until('ready'), () => 'ready');
  admin.destroy();
  return Number(/:(\d+)$/.exec(String(ready['tcp']))?.[1]);
}
