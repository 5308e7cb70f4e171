import { describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { HeldService, serveBefore } from '../support/held-service.js';
import { timeOf } from '../support/activity-log.js';
import { askOnce, RawClient, say } from '../support/raw-client.js';
import { least } from '../support/wait.js';

const never = 600_000;

describe('a client that goes away', () => {
  const hearth = hearthScope('test');

  test('row 66: in mid-stream, between tokens: aborted and the slot free within 100 ms', async () => {
    // The next token never comes by itself: nobody can have waited for it.
    const service = await HeldService.listen(['first', 'second']);
    const daemon = await serveBefore(hearth, service, { args: ['--queue-depth', '0'] });
    const delay = await least(100, async (attempt) => {
      const client = await daemon.connect();
      await client.sendJson(say(`gone-${attempt}`));
      expect(await client.frame()).toMatchObject({ type: 'token', content: 'first' });
      return leave(daemon, client, `gone-${attempt}`, 'decode');
    });
    expect(delay).toBeLessThan(100);
    service.release();
    // With a queue of no depth, whoever is served found the slot free.
    expect((await askOnce(daemon.home.inferenceSocket, say('next'))).at(-1)).toMatchObject({ type: 'done' });
  });

  test('row 67: while it waits: its entry goes and the backend is never called', async () => {
    const daemon = await hearth.serve({ mock: { token_delay_ms: never }, args: ['--queue-depth', '1'] });
    const holder = await daemon.connect();
    await confirmed(holder, 'holder');
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const id = `waits-${attempt}`;
      const client = await daemon.connect();
      await confirmed(client, id);
      await leave(daemon, client, id, 'queued');
      // No backend was named to it, and nothing else was written of it.
      const records = daemon.log.records().filter((record) => record['req_id'] === id);
      expect(records).toHaveLength(1);
      expect(records[0]).not.toHaveProperty('backend');
    }
    // Its place is free: another may wait there, and is not refused.
    const next = await daemon.connect();
    await confirmed(next, 'next');
    next.destroy();
    holder.destroy();
  });

  test('row 68: before the first token: abort observed in under 200 ms', async () => {
    const daemon = await hearth.serve({ mock: { token_delay_ms: never } });
    const delay = await least(200, async (attempt) => {
      const client = await daemon.connect();
      await confirmed(client, `prefill-${attempt}`);
      return leave(daemon, client, `prefill-${attempt}`, 'prefill');
    });
    expect(delay).toBeLessThan(200);
  });

  test('rows 66, 67: one connection with many requests ends them all', async () => {
    const daemon = await hearth.serve({ mock: { token_delay_ms: never } });
    const client = await daemon.connect();
    await client.sendJson(say('a'), say('b'), say('c'), { id: 'confirm', messages: [] });
    await client.frame();
    client.destroy();
    await daemon.log.waitFor({ msg: 'request_cancelled', req_id: 'a', stage: 'prefill' });
    await daemon.log.waitFor({ msg: 'request_cancelled', req_id: 'b' });
    await daemon.log.waitFor({ msg: 'request_cancelled', req_id: 'c' });
  });

  test('row 66: a client that only half-closes is answered to the end', async () => {
    const daemon = await hearth.serve({ mock: { tokens: ['a', 'b'], token_delay_ms: 100 } });
    const client = await daemon.connect();
    await client.sendJson(say('half'));
    client.halfClose();
    expect((await client.rest()).map((frame) => frame['type'])).toEqual(['token', 'token', 'done']);
  });

  test('row 66: over TCP, where a close looks like a half-close, the writes that follow end it', async () => {
    const mock = { tokens: Array.from({ length: 200 }, () => 'x'), token_delay_ms: 20 };
    const daemon = await hearth.serve({ mock, args: ['--tcp', '127.0.0.1:0'] });
    const admin = await daemon.admin();
    const port = Number(/:(\d+)$/.exec(String((await admin.until('ready'))['tcp']))?.[1]);
    const client = await RawClient.connect({ port });
    await client.sendJson(say('tcp'));
    await client.frame();
    client.destroy();
    const record = await daemon.log.waitFor({ msg: 'request_cancelled', req_id: 'tcp', stage: 'decode' });
    expect(record['completion_tokens']).toBeLessThan(50);
  });

  test('row 69: after twenty that went away in mid-stream, the next is served', async () => {
    const daemon = await hearth.serve({
      mock: { tokens: Array.from({ length: 50 }, () => 'x'), token_delay_ms: 5 },
    });
    for (let turn = 0; turn < 20; turn += 1) {
      const client = await daemon.connect();
      await client.sendJson(say(`gone-${turn}`));
      expect(await client.frame()).toMatchObject({ type: 'token' });
      client.destroy();
    }
    const frames = await askOnce(daemon.home.inferenceSocket, say('next'));
    expect(frames).toHaveLength(51);
    expect(frames.at(-1)).toMatchObject({ id: 'next', type: 'done' });
    await daemon.log.waitFor({ msg: 'request_cancelled' }, { count: 20 });
  });
});

/** Destroys the connection and gives how long after it the daemon wrote down the cancel, in milliseconds. */
async function leave(
  daemon: HearthProcess,
  client: { destroy(): void },
  id: string,
  stage: 'queued' | 'prefill' | 'decode',
): Promise<number> {
  const left = Date.now();
  client.destroy();
  const record = await daemon.log.waitFor({ msg: 'request_cancelled', req_id: id });
  expect(record).toMatchObject({ stage });
  return timeOf(record) - left;
}

/** Sends a request and waits until the daemon has taken it in. */
async function confirmed(
  client: { sendJson(...values: readonly unknown[]): Promise<void>; frame(): Promise<unknown> },
  id: string,
): Promise<void> {
  await client.sendJson(say(id), { id: 'confirm', messages: [] });
  expect(await client.frame()).toMatchObject({ id: 'confirm', code: 'invalid_request' });
}
