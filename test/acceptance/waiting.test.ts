import { describe, expect, test } from 'vitest';
import { timeOf } from '../support/activity-log.js';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { HeldService, serveBefore } from '../support/held-service.js';
import { type Frame, type RawClient, say } from '../support/raw-client.js';

/** A token that takes longer than any test: whoever waits for it holds the permit until it goes away. */
const never = 600_000;

describe('waiting, and telling of it', () => {
  const hearth = hearthScope('test');
  const withDelay = async (token_delay_ms: number, ...args: readonly string[]): Promise<HearthProcess> =>
    hearth.serve({ mock: { tokens: ['a', 'b'], token_delay_ms }, args });

  test('who asked for events hears where it stands, in order, and when its turn has come', async () => {
    const daemon = await withDelay(60);
    const client = await daemon.connect();
    await client.sendJson(...['first', 'second', 'third'].map((id) => say(id, { events: true })));
    const frames = await repliesTo(client, 3);

    expect(frames.get('first')).toMatchObject([
      { type: 'accepted', class: 'chat', position: 0 },
      { type: 'prefill', backend: 'mock' },
      { type: 'token', content: 'a' },
      { type: 'token', content: 'b' },
      { type: 'done', content: 'ab' },
    ]);
    // Nothing had been measured when it came; once the first was done, its place and a time are known.
    const third = frames.get('third') ?? [];
    expect(third[0]).toEqual({ id: 'third', type: 'accepted', class: 'chat', position: 1 });
    expect(third[1]).toEqual({
      id: 'third',
      type: 'queued',
      position: 0,
      expected_wait_ms: expect.any(Number) as number,
    });
    expect(third[1]?.['expected_wait_ms']).toBeGreaterThan(0);
    expect(third.slice(2).map((frame) => frame['type'])).toEqual(['prefill', 'token', 'token', 'done']);
    client.destroy();
  });

  test('who did not ask sees the frames and the five codes of version 1, whatever happens', async () => {
    const daemon = await withDelay(never, '--queue-depth', '4');
    const client = await daemon.connect();
    await client.sendJson(
      say('superseded', { supersede_key: 'k' }),
      say('superseder', { supersede_key: 'k' }),
      say('late', { deadline_ms: 50 }),
      say('cancelled'),
    );
    const ends = new Map<unknown, Frame>();
    while (ends.size < 2) {
      const frame = await client.frame();
      ends.set(frame['id'], frame);
    }
    await client.sendJson({ type: 'cancel', id: 'c', target: 'cancelled' });
    const both = await client.frames(2);
    for (const frame of both) ends.set(frame['id'], frame);
    const message = expect.any(String) as string;
    expect(ends.get('superseded')).toEqual({
      id: 'superseded',
      type: 'error',
      code: 'backend_unavailable',
      message,
    });
    expect(ends.get('late')).toEqual({ id: 'late', type: 'error', code: 'backend_unavailable', message });
    expect(ends.get('cancelled')).toMatchObject({ type: 'done', stop_reason: 'cancelled', content: '' });
    expect(ends.get('c')).toEqual({ id: 'c', type: 'cancelled', target: 'cancelled', found: true });
    client.destroy();
  });

  test('cancel by id ends a request that waits and one that runs, and leaves the others alone', async () => {
    const service = await HeldService.listen(['a', 'b'], (said) => said === 'hold');
    const daemon = await serveBefore(hearth, service);
    const client = await daemon.connect();
    const held = { messages: [{ role: 'user', content: 'hold' }] };
    await client.sendJson(say('runs', held), say('waits'), say('stays'));
    expect(await client.frame()).toMatchObject({ id: 'runs', type: 'token' });
    await client.sendJson({ type: 'cancel', id: 'c1', target: 'waits' }, { type: 'cancel', target: 'runs' });
    const frames = await client.frames(6);
    expect(ofId(frames, 'waits')).toMatchObject([{ type: 'done', stop_reason: 'cancelled' }]);
    expect(ofId(frames, 'runs')).toMatchObject([{ type: 'done', stop_reason: 'cancelled', content: 'a' }]);
    expect(ofId(frames, 'c1')).toEqual([{ id: 'c1', type: 'cancelled', target: 'waits', found: true }]);
    expect(ofId(frames, '')).toEqual([{ id: '', type: 'cancelled', target: 'runs', found: true }]);
    expect(ofId(frames, 'stays')).toMatchObject([{ content: 'a' }, { content: 'b' }]);
    expect(await client.frame()).toMatchObject({
      id: 'stays',
      type: 'done',
      content: 'ab',
      stop_reason: 'end',
    });
    client.destroy();
  });

  test('another connection cannot cancel: its ids are answered like those that never were', async () => {
    const daemon = await withDelay(200);
    const [owner, stranger] = [await daemon.connect(), await daemon.connect()];
    await owner.sendJson(say('mine'));
    await owner.frame();
    const answers = [];
    for (const target of ['mine', 'never-was']) {
      await stranger.sendJson({ type: 'cancel', id: 'c', target });
      answers.push(await stranger.frame());
    }
    expect(answers).toEqual([
      { id: 'c', type: 'cancelled', target: 'mine', found: false },
      { id: 'c', type: 'cancelled', target: 'never-was', found: false },
    ]);
    expect((await owner.reply()).at(-1)).toMatchObject({ id: 'mine', type: 'done', content: 'ab' });
    owner.destroy();
    stranger.destroy();
  });

  test('a newer request with the same key takes the place of the older, waiting or running', async () => {
    const daemon = await withDelay(never);
    const client = await daemon.connect();
    const typed = (id: string, key: string): Frame => say(id, { supersede_key: key, events: true });
    await client.sendJson(typed('k1', 'k'), typed('m1', 'm'), typed('m2', 'm'), typed('k2', 'k'));
    const ends: Frame[] = [];
    while (ends.length < 2) {
      const frame = await client.frame();
      if (frame['type'] === 'error') ends.push(frame);
    }
    expect(ends).toMatchObject([
      { id: 'm1', code: 'superseded', retryable: false },
      { id: 'k1', code: 'superseded', retryable: false },
    ]);
    client.destroy();
    await daemon.log.waitFor({ msg: 'request_cancelled', req_id: 'k1' });
  });

  test('past its deadline a request ends, waiting or running', async () => {
    const daemon = await withDelay(never);
    const client = await daemon.connect();
    await client.sendJson(
      say('runs', { events: true, deadline_ms: 300 }),
      say('waits', { events: true, deadline_ms: 100 }),
    );
    const ends: Frame[] = [];
    while (ends.length < 2) {
      const frame = await client.frame();
      if (frame['type'] === 'error') ends.push(frame);
    }
    expect(ends).toMatchObject([
      { id: 'waits', code: 'deadline_exceeded' },
      { id: 'runs', code: 'deadline_exceeded' },
    ]);
    client.destroy();
  });

  test('classes: what is urgent goes first, whenever it came', async () => {
    const service = await HeldService.listen(['a', 'b'], (said) => said === 'hold');
    const daemon = await serveBefore(hearth, service);
    const clients = await Promise.all([1, 2, 3, 4].map(() => daemon.connect()));
    const [holder, ...waiting] = clients;
    await holder!.sendJson(say('runs', { events: true, messages: [{ role: 'user', content: 'hold' }] }));
    await holder!.frame();
    const classes = ['background', 'chat', 'interactive'];
    for (const [index, name] of classes.entries()) {
      await waiting[index]!.sendJson(say(name, { class: name, events: true }));
      expect(await waiting[index]!.frame()).toMatchObject({ type: 'accepted', class: name, position: 0 });
    }
    service.release();
    await Promise.all(waiting.map((client) => client.reply()));
    const started = daemon.log.matching({ msg: 'request_done' }).map((record) => record['req_id']);
    expect(started.slice(0, 4)).toEqual(['runs', 'interactive', 'chat', 'background']);
    for (const client of clients) client.destroy();
  });

  test('queue_full says when to come back, to who asked for events', async () => {
    const daemon = await withDelay(50, '--queue-depth', '0');
    const client = await daemon.connect();
    await client.ask(say('measured'));
    await client.sendJson(say('runs'), say('refused', { events: true }));
    const refusal = await client.frame();
    expect(refusal).toMatchObject({ id: 'refused', code: 'queue_full', retryable: true });
    expect(refusal['retry_after_ms']).toBeGreaterThan(0);
    await client.reply();
    client.destroy();
  });

  test.runIf(process.platform === 'linux')(
    'row 175: while one process floods, another waits no longer than one job and its own',
    async () => {
      const daemon = await hearth.serve({ mock: { tokens: ['a'], token_delay_ms: 400 } });
      const flooder = await daemon.connect();
      const flood = Array.from({ length: 9 }, (_, index) => `f${index}`);
      await flooder.sendJson(...flood.map((id) => say(id)));
      await flooder.frame();
      // `hearth generate` is a process of its own, and the kernel says so.
      const other = hearth.run(['generate', 'hi', '--runtime-dir', daemon.home.runtimeDir], {
        home: daemon.home,
      });
      expect((await other.end()).code).toBe(0);
      const done = daemon.log.matching({ msg: 'request_done' });
      const own = done.find((record) => record['req_id'] === 'r1') ?? {};
      // Of the flood only the job that ran when it came has ended while it waited; in turn of arrival more than six.
      const arrived = timeOf(own) - Number(own['total_ms']);
      const others = done.slice(0, done.indexOf(own)).filter((record) => timeOf(record) > arrived + 10);
      expect(others.length).toBeLessThanOrEqual(1);
      flooder.destroy();
    },
  );
});

/** The frames of the next `count` requests that end, by their id. */
async function repliesTo(client: RawClient, count: number): Promise<Map<unknown, Frame[]>> {
  const frames = new Map<unknown, Frame[]>();
  for (let ended = 0; ended < count;) {
    const frame = await client.frame();
    frames.set(frame['id'], [...(frames.get(frame['id']) ?? []), frame]);
    if (frame['type'] === 'done' || frame['type'] === 'error') ended += 1;
  }
  return frames;
}

function ofId(frames: readonly Frame[], id: string): readonly Frame[] {
  return frames.filter((frame) => frame['id'] === id);
}
