import fs from 'node:fs';
import { adminFrameSchema } from '@hearth/protocol';
import { describe, expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';
import { askOnce, type Frame, RawClient, say } from '../support/raw-client.js';

describe('the admin socket', () => {
  const hearth = hearthScope('test');

  test('row 50: a new subscriber gets the capabilities, then the state', async () => {
    const daemon = await hearth.serve();
    const admin = await daemon.admin();
    expect(await admin.next()).toMatchObject({ status: 'capabilities', backend: 'mock' });
    expect(await admin.next()).toMatchObject({ status: 'ready' });
  });

  test('row 50: at every moment of a start the snapshot is the capabilities, if known, and then the state', async () => {
    const daemon = hearth.spawnServe({ plain: true });
    const follower = await daemon.admin();
    const snapshots: (readonly string[])[] = [];
    for (let status = ''; status !== 'ready'; status = String((await follower.next())['status'])) {
      const admin = await daemon.admin();
      const first = String((await admin.next())['status']);
      snapshots.push(first === 'capabilities' ? [first, String((await admin.next())['status'])] : [first]);
      admin.destroy();
    }
    expect(snapshots.length).toBeGreaterThan(1);
    for (const snapshot of snapshots) {
      expect(['starting', 'loading_model', 'ready']).toContain(snapshot.at(-1));
      // The daemon is not ready before what it can do is known.
      if (snapshot.at(-1) === 'ready') expect(snapshot).toEqual(['capabilities', 'ready']);
    }
  });

  test('row 51: all subscribers get every transition, in order', async () => {
    const daemon = hearth.spawnServe({ mock: { ready_after_ms: 600 } });
    const subscribers = await Promise.all(Array.from({ length: 5 }, () => daemon.admin()));
    // Each has had its snapshot before anything changes.
    await Promise.all(subscribers.map((one) => one.next()));
    await Promise.all(subscribers.map((one) => one.until('ready')));
    daemon.signal('SIGTERM');
    const seen = await Promise.all(subscribers.map((one) => one.untilEnd()));

    const statuses = seen.map((frames) => frames.map((frame) => String(frame['status'])));
    for (const one of statuses) {
      expect(
        withoutRepeats(one.filter((status) => status !== 'starting' && status !== 'loading_model')),
      ).toEqual(['capabilities', 'ready', 'draining']);
    }
    await daemon.end();
  });

  test('row 52: every frame is a flat envelope that the schema knows', async () => {
    const daemon = hearth.spawnServe({ mock: { ready_after_ms: 200 } });
    const admin = await daemon.admin();
    await admin.until('ready');
    daemon.signal('SIGTERM');
    const frames = await admin.untilEnd();
    expect(frames.length).toBeGreaterThanOrEqual(3);
    for (const frame of frames) {
      expect(frame).toMatchObject({ id: 'admin', type: 'status' });
      expect(adminFrameSchema.safeParse(frame).error?.message).toBeUndefined();
      expect(nestedKeys(frame)).toEqual([]);
    }
    await daemon.end();
  });

  test('row 52: the phases of a real load stand at the top level', async () => {
    const daemon = hearth.spawnServe({ plain: true });
    const admin = await daemon.admin();
    await admin.until('ready');
    const phases = admin.seen.filter((frame) => frame['status'] === 'loading_model');
    expect(phases.length).toBeGreaterThan(0);
    for (const frame of phases) {
      expect(frame['phase']).toBeTypeOf('string');
      expect(adminFrameSchema.safeParse(frame).error?.message).toBeUndefined();
      expect(nestedKeys(frame)).toEqual([]);
    }
    expect(phases.map((frame) => frame['phase'])).toContain('kv_cache');
  });

  test('row 55: what a client writes is ignored', async () => {
    const daemon = await hearth.serve();
    const admin = await daemon.admin();
    await admin.until('ready');
    await admin.raw.send('garbage\n');
    await admin.raw.sendJson(say('not here'), { type: 'shutdown' });
    await admin.raw.send(Buffer.alloc(1024 * 1024, 0xff));
    expect((await askOnce(daemon.home.inferenceSocket, say('after'))).at(-1)).toMatchObject({ type: 'done' });
    // It is still subscribed, and was told nothing.
    daemon.signal('SIGTERM');
    expect(await admin.next()).toMatchObject({ status: 'draining' });
    await daemon.end();
  });

  test('row 56: the admin socket has mode 0600', async () => {
    const daemon = await hearth.serve();
    expect(fs.lstatSync(daemon.home.adminSocket).mode & 0o777).toBe(0o600);
    expect(fs.lstatSync(daemon.home.rpcSocket).mode & 0o777).toBe(0o600);
  });

  test('row 56: TCP speaks the inference protocol only', async () => {
    const daemon = await hearth.serve({ args: ['--tcp', '127.0.0.1:0'] });
    const admin = await daemon.admin();
    const ready = await admin.until('ready');
    const port = Number(/:(\d+)$/.exec(String(ready['tcp']))?.[1]);
    const client = await RawClient.connect({ port });
    await client.sendJson({ type: 'subscribe', channels: ['health'] });
    client.halfClose();
    for (const frame of await client.rest())
      expect(frame).toMatchObject({ type: 'error', code: 'invalid_request' });
  });

  test('row 57: each backend announces itself once, with absent keys absent, beside the state', async () => {
    const daemon = await hearth.serve({ mock: [{ name: 'one' }, { name: 'two' }] });
    const admin = await daemon.admin();
    await admin.until('ready');
    const [one, two, ...rest] = admin.seen;
    expect(one).toMatchObject({ status: 'capabilities', backend: 'one', wire_version: 1, v2: true });
    expect(two).toMatchObject({ status: 'capabilities', backend: 'two' });
    expect(rest.map((frame) => frame['status'])).toEqual(['ready']);
    for (const frame of admin.seen) expect(Object.values(frame)).not.toContain(null);
    expect(one).not.toHaveProperty('audio_sample_rate');
    expect(one).not.toHaveProperty('vram_total_bytes');
  });

  test('row 58: a signal tells every subscriber draining, and then ends the stream', async () => {
    const daemon = await hearth.serve();
    const subscribers = await Promise.all(Array.from({ length: 20 }, () => daemon.admin()));
    await Promise.all(subscribers.map((one) => one.until('ready')));
    daemon.signal('SIGTERM');
    for (const one of subscribers)
      expect((await one.untilEnd()).at(-1)).toMatchObject({ status: 'draining' });
    expect(await daemon.end()).toEqual({ code: 0, signal: null });
    expect(fs.readdirSync(daemon.home.runtimeDir)).toEqual(['hearth.lock']);
  });
});

function withoutRepeats(values: readonly string[]): readonly string[] {
  return values.filter((value, index) => value !== values[index - 1]);
}

/** Keys whose values are objects or arrays. */
function nestedKeys(frame: Frame): readonly string[] {
  return Object.keys(frame).filter((key) => typeof frame[key] === 'object');
}
