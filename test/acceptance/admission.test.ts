import { describe, expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';
import { HeldService, serveBefore } from '../support/held-service.js';
import type { RawClient } from '../support/raw-client.js';
import { health, RpcPeer } from '../support/rpc-peer.js';
import { type Frame, say } from '../support/raw-client.js';

/** A token that takes longer than any test: whoever waits for it holds the permit until it goes away. */
const never = 600_000;

describe('admission', () => {
  const hearth = hearthScope('test');

  test('row 64: a slot that is used over JSON-RPC counts against the socket, and the other way round', async () => {
    const args = ['--queue-depth', '0'];
    const daemon = await hearth.serve({ mock: { token_delay_ms: never }, args });
    const peer = await RpcPeer.connect(daemon.home.rpcSocket);
    const generate = (): Promise<Frame> =>
      peer.request('hearth/generate', { request: say('over-rpc'), client: 'test' });
    const client = await daemon.connect();
    await client.sendJson(say('over-socket'));
    await daemon.log.waitFor({ msg: 'connection_accepted' });
    // The socket holds the one slot: the editor is refused.
    expect(await client.ask({ id: 'confirm', messages: [] })).toMatchObject([{ id: 'confirm' }]);
    expect(await generate()).toMatchObject({ error: { data: { code: 'queue_full' } } });
    client.destroy();
    await daemon.log.waitFor({ msg: 'request_cancelled', req_id: 'over-socket' });
    // And the other way round.
    void generate().catch(() => undefined);
    expect((await health(peer)).admission.permitsInUse).toBe(1);
    const other = await daemon.connect();
    expect(await other.ask(say('too-many'))).toMatchObject([{ code: 'queue_full' }]);
    other.destroy();
    peer.close();
  });

  test('row 59: with one permit, generations never overlap; with two, they do', async () => {
    const overlaps = async (permits: number): Promise<number> => {
      const args = ['--active-permits', String(permits)];
      const daemon = await hearth.serve({ mock: { tokens: ['a', 'b', 'c'], token_delay_ms: 15 }, args });
      // All on one connection, where the order of frames is the order in which they were written.
      const client = await daemon.connect();
      await client.sendJson(...ids(6).map((id) => say(id)));
      client.halfClose();
      const frames = await client.rest();
      expect(frames.filter((frame) => frame['type'] === 'done')).toHaveLength(6);
      return mostOpen(frames);
    };
    expect(await overlaps(1)).toBe(1);
    expect(await overlaps(2)).toBe(2);
  });

  test('row 60: one runs and ten wait; the twelfth gets queue_full in under 50 ms', async () => {
    const daemon = await hearth.serve({ mock: { token_delay_ms: never } });
    const holder = await daemon.connect();
    await sendAndConfirm(holder, ids(11));

    const client = await daemon.connect();
    const times: number[] = [];
    for (const id of ids(9)) {
      const since = performance.now();
      expect(await client.ask(say(id))).toEqual([
        { id, type: 'error', code: 'queue_full', message: expect.any(String) as string },
      ]);
      times.push(performance.now() - since);
    }
    expect(Math.min(...times)).toBeLessThan(50);
    // None of the eleven was refused.
    holder.destroy();
    await daemon.log.waitFor({ msg: 'request_cancelled' }, { count: 11 });
  });

  test('row 60: a queue of no depth refuses the second', async () => {
    const daemon = await hearth.serve({ mock: { token_delay_ms: never }, args: ['--queue-depth', '0'] });
    const client = await daemon.connect();
    await client.sendJson(say('first'), say('second'));
    expect(await client.frame()).toMatchObject({ id: 'second', code: 'queue_full' });
    client.destroy();
  });

  test('row 61: waiting requests start in the order in which they came, over many connections', async () => {
    const daemon = await hearth.serve({ mock: { tokens: ['x'], token_delay_ms: 15 } });
    const clients = await Promise.all(ids(10).map(() => daemon.connect()));
    for (const [index, client] of clients.entries()) await sendAndConfirm(client, [`r${index}`]);
    for (const client of clients) {
      expect((await client.reply()).at(-1)).toMatchObject({ type: 'done' });
      client.destroy();
    }
    // Which of several sockets is read first says nothing; what the daemon wrote down is the order.
    const done = daemon.log.matching({ msg: 'request_done' }).map((record) => record['req_id']);
    expect(done).toEqual(ids(10));
  });

  test('row 62: queue_full carries the id of the refused, and its connection serves on', async () => {
    const daemon = await hearth.serve({
      mock: { tokens: ['a'], token_delay_ms: 150 },
      args: ['--queue-depth', '0'],
    });
    const client = await daemon.connect();
    await client.sendJson(say('runs'), say('refused'));
    expect(await client.frame()).toMatchObject({ id: 'refused', type: 'error', code: 'queue_full' });
    expect(await client.reply()).toMatchObject([
      { id: 'runs', type: 'token' },
      { id: 'runs', type: 'done' },
    ]);
    expect((await client.ask(say('again'))).at(-1)).toMatchObject({ id: 'again', type: 'done' });
    client.destroy();
    await daemon.log.waitFor({ msg: 'request_rejected', req_id: 'refused', code: 'queue_full' });
  });

  test('row 63: a refusal waits for no running generation', async () => {
    // The one that runs never makes a token: an answer at all shows that nothing waited for it.
    const daemon = await hearth.serve({ mock: { token_delay_ms: never }, args: ['--queue-depth', '0'] });
    const holder = await daemon.connect();
    await sendAndConfirm(holder, ['runs']);
    const client = await daemon.connect();
    expect(await client.ask(say('refused'))).toMatchObject([{ id: 'refused', code: 'queue_full' }]);
    client.destroy();
    holder.destroy();
  });

  test('row 65: once the daemon drains, new requests are refused, waiting ones too, and running ones finish', async () => {
    const service = await HeldService.listen(['a', 'b', 'c']);
    const daemon = await serveBefore(hearth, service);
    const admin = await daemon.admin();
    const client = await daemon.connect();
    await client.sendJson(say('runs'), say('waits'));
    expect(await client.frame()).toMatchObject({ id: 'runs', type: 'token' });

    daemon.signal('SIGTERM');
    await admin.until('draining');
    // Nothing but what runs is left to end: it goes on once the two others have been refused.
    await client.sendJson(say('new'));
    client.halfClose();
    const refused = await client.frames(2);
    service.release();
    const frames = [...refused, ...(await client.rest())];
    const ends = new Map<unknown, unknown>(
      frames
        .filter((frame) => frame['type'] !== 'token')
        .map((frame) => [frame['id'], frame['code'] ?? frame['type']]),
    );
    expect(ends).toEqual(
      new Map([
        ['runs', 'done'],
        ['waits', 'backend_unavailable'],
        ['new', 'backend_unavailable'],
      ]),
    );
    expect((await daemon.end()).code).toBe(0);
  });

  test('row 65: a generation that would outlast the drain is ended, and the daemon with it', async () => {
    const args = ['--drain-timeout-secs', '1'];
    const daemon = await hearth.serve({ mock: { token_delay_ms: never }, args });
    const client = await daemon.connect();
    await sendAndConfirm(client, ['endless', 'waits']);
    daemon.signal('SIGTERM');
    await client.closed();
    expect((await daemon.end()).code).toBe(0);
  });
});

function ids(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `r${index}`);
}

/**
 * Sends requests, then one that is refused at once, and waits for that refusal: by then the daemon has taken in
 * those before it.
 */
async function sendAndConfirm(client: RawClient, requests: readonly string[]): Promise<void> {
  await client.sendJson(...requests.map((id) => say(id)), { id: 'confirm', messages: [] });
  expect(await client.frame()).toMatchObject({ id: 'confirm', code: 'invalid_request' });
}

/** The most requests that had begun and not ended at any one frame. */
function mostOpen(frames: readonly Frame[]): number {
  const open = new Set<unknown>();
  let most = 0;
  for (const frame of frames) {
    if (frame['type'] === 'token') open.add(frame['id']);
    else open.delete(frame['id']);
    most = Math.max(most, open.size);
  }
  return most;
}
