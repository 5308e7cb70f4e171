import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { configured, type HearthProcess, type Home, hearthScope } from '../support/daemon.js';
import type { Frame, RawClient } from '../support/raw-client.js';

const channel = 'acme/journal';

/** A home with a state directory, and the flags of a daemon that keeps one channel there. */
function withState(home: Home, extra: Readonly<Record<string, unknown>> = {}): readonly string[] {
  const stateDir = stateOf(home);
  if (!fs.existsSync(stateDir)) fs.mkdirSync(stateDir);
  return configured(home, { state_dir: stateDir, durable_channels: [channel], ...extra });
}

function stateOf(home: Home): string {
  return path.join(home.root, 'state');
}

/** The one journal in a state directory. */
function journalOf(home: Home): string {
  const [name] = fs.readdirSync(stateOf(home));
  return path.join(stateOf(home), name ?? 'none');
}

async function publish(
  client: RawClient,
  body: unknown,
  extra: Readonly<Record<string, unknown>> = {},
): Promise<Frame> {
  await client.sendJson({ type: 'publish', id: 'p', channel, body, ...extra });
  return client.frame();
}

/** The bodies from a position on, as a new subscriber gets them. */
async function replay(daemon: HearthProcess, from: number, count: number): Promise<readonly unknown[]> {
  const client = await daemon.connect();
  await client.sendJson({ type: 'subscribe', channel, from_position: from, max_in_flight: 4096 });
  expect(await client.frame()).toMatchObject({ type: 'subscribed' });
  const events = await client.frames(count);
  expect(events.map((event) => event['position'])).toEqual(
    Array.from({ length: count }, (_, index) => from + index),
  );
  client.destroy();
  return events.map((event) => event['body']);
}

describe('durable channels', () => {
  const hearth = hearthScope('test');

  test('what was published is there after a restart, from any position on', async () => {
    const home = hearth.makeHome();
    const args = withState(home);
    const first = await hearth.serve({ home, args });
    const client = await first.connect();
    for (let n = 1; n <= 300; n += 1)
      expect(await publish(client, { n })).toMatchObject({ type: 'published', position: n });
    expect(await replay(first, 299, 2)).toEqual([{ n: 299 }, { n: 300 }]);
    client.destroy();
    expect(await first.stop()).toMatchObject({ code: 0 });

    const second = await hearth.serve({ home, args });
    const bodies = await replay(second, 1, 300);
    expect(bodies).toEqual(Array.from({ length: 300 }, (_, index) => ({ n: index + 1 })));
    const again = await second.connect();
    expect(await publish(again, 'next')).toMatchObject({ position: 301 });
    again.destroy();
  });

  test('kill -9 loses nothing that anybody was told of, and a torn line is cut off', async () => {
    const home = hearth.makeHome();
    const args = withState(home);
    const first = await hearth.serve({ home, args });
    const client = await first.connect();
    for (let n = 1; n <= 20; n += 1) await publish(client, n);
    await first.crash();
    client.destroy();
    // As a crash in the middle of a write leaves it.
    fs.appendFileSync(journalOf(home), '1234abcd {"position":21,"at":1,"id":"x","bo');
    const second = await hearth.serve({ home, args });
    expect(await second.log.waitFor({ msg: 'journal_recovered' })).toMatchObject({
      level: 'warn',
      messages: 20,
    });
    expect(await replay(second, 1, 20)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
    const again = await second.connect();
    expect(await publish(again, 'after')).toMatchObject({ position: 21 });
    again.destroy();
  });

  test('a journal that is damaged elsewhere is not guessed at', async () => {
    const home = hearth.makeHome();
    const args = withState(home);
    const first = await hearth.serve({ home, args });
    const client = await first.connect();
    for (let n = 1; n <= 5; n += 1) await publish(client, 'x'.repeat(50));
    client.destroy();
    await first.stop();
    const journal = journalOf(home);
    const bytes = fs.readFileSync(journal);
    bytes[bytes.length / 2 - 1] = 0x21;
    fs.writeFileSync(journal, bytes);
    const second = hearth.spawnServe({ home, args });
    expect(await second.end()).toMatchObject({ code: 2 });
    expect(second.stderr).toMatch(/acme\/journal is damaged at byte \d+/);
  });

  test('row 166: a repeated key publishes once, also after a restart', async () => {
    const home = hearth.makeHome();
    const args = withState(home);
    const first = await hearth.serve({ home, args });
    const client = await first.connect();
    const original = await publish(client, 'job', { idempotency_key: 'k' });
    expect(original).toMatchObject({ duplicate: false, position: 1 });
    const repeated = await publish(client, 'job', { idempotency_key: 'k' });
    expect(repeated).toMatchObject({ duplicate: true, position: 1, message_id: original['message_id'] });
    expect(await publish(client, 'other', { idempotency_key: 'k' })).toMatchObject({ code: 'conflict' });
    client.destroy();
    await first.stop();

    const second = await hearth.serve({ home, args });
    const again = await second.connect();
    expect(await publish(again, 'job', { idempotency_key: 'k' })).toMatchObject({
      duplicate: true,
      position: 1,
      message_id: original['message_id'],
    });
    expect(await publish(again, 'new', { idempotency_key: 'k2' })).toMatchObject({
      duplicate: false,
      position: 2,
    });
    again.destroy();
  });

  test('row 166: two that come at once under one key are one', async () => {
    const home = hearth.makeHome();
    const daemon = await hearth.serve({ home, args: withState(home) });
    const clients = await Promise.all(Array.from({ length: 8 }, () => daemon.connect()));
    const answers = await Promise.all(clients.map((one) => publish(one, 'job', { idempotency_key: 'k' })));
    expect(answers.filter((answer) => answer['duplicate'] === false)).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer['position']))).toEqual(new Set([1]));
    for (const one of clients) one.destroy();
  });

  test('a slow subscriber falls behind and misses nothing', async () => {
    const home = hearth.makeHome();
    const daemon = await hearth.serve({ home, args: withState(home) });
    const slow = await daemon.connect();
    await slow.sendJson({ type: 'subscribe', channel, max_in_flight: 1 });
    const subscription = Number((await slow.frame())['subscription']);
    const client = await daemon.connect();
    const count = 600;
    await client.sendJson(
      ...Array.from({ length: count }, (_, n) => ({ type: 'publish', id: 'p', channel, body: n })),
    );
    const accepted = (await client.frames(count)).filter((frame) => frame['type'] === 'published').length;
    // More than a connection may wait for at once is refused, each with its error.
    expect(accepted).toBeGreaterThanOrEqual(32);
    for (let seq = 1; seq <= accepted; seq += 1) {
      expect(await slow.frame()).toMatchObject({ type: 'event', seq, position: seq });
      await slow.sendJson({ type: 'ack', subscription, seq });
    }
    for (const one of [slow, client]) one.destroy();
  });

  test.each([
    ['is missing', (dir: string) => dir],
    ['is a file', (dir: string) => (fs.writeFileSync(dir, ''), dir)],
  ])('row 168: a state directory that %s is an error, and is never made', async (_what, make) => {
    const home = hearth.makeHome();
    const stateDir = make(stateOf(home));
    const existed = fs.existsSync(stateDir);
    const daemon = hearth.spawnServe({ home, args: ['--state-dir', stateDir] });
    expect(await daemon.end()).toMatchObject({ code: 2 });
    expect(daemon.stderr).toMatch(/state_dir/);
    expect(fs.existsSync(stateDir)).toBe(existed);
  });

  test('row 168: a state directory that cannot be written is an error', async () => {
    const home = hearth.makeHome();
    // Root may write into every directory but those of a file system that takes nothing.
    const stateDir = process.getuid?.() === 0 ? '/proc' : stateOf(home);
    if (!fs.existsSync(stateDir)) fs.mkdirSync(stateDir, { mode: 0o500 });
    const daemon = hearth.spawnServe({ home, args: ['--state-dir', stateDir] });
    expect(await daemon.end()).toMatchObject({ code: 2 });
    expect(daemon.stderr).toMatch(/state_dir.*cannot be written/);
  });

  test('row 147: what cannot be saved is told to who published, and by the exit', async () => {
    const home = hearth.makeHome();
    const args = withState(home);
    // Files of this process may have 64 KiB: the journal fills up as on a full disk.
    const daemon = await hearth.serve({ home, args, fileKibibytes: 64 });
    const client = await daemon.connect();
    let refused: Frame | undefined;
    for (let n = 0; n < 20 && refused === undefined; n += 1) {
      const frame = await publish(client, 'x'.repeat(8000));
      if (frame['type'] === 'error') refused = frame;
    }
    expect(refused).toMatchObject({ code: 'backend_unavailable', retryable: true });
    expect(refused?.['message']).toMatch(/journal.*EFBIG/);
    client.destroy();
    expect(await daemon.stop()).toMatchObject({ code: 6 });
    expect(daemon.stderr).toMatch(/shutdown flush failed/);
    // What was taken is there.
    const next = await hearth.serve({ home, args });
    expect((await replay(next, 1, 3)).length).toBe(3);
  });
});
