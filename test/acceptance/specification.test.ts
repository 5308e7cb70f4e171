import { describe, expect, test } from 'vitest';
import { hearthScope, isAbsent } from '../support/daemon.js';
import { RawClient, say } from '../support/raw-client.js';
import { timeOf } from '../support/activity-log.js';

/** The four tests that the specification of the protocol itself makes, frame for frame (behaviours.md 1.12, 1 to 4). */
describe('the specification of NDJSON v1', () => {
  const hearth = hearthScope('test');

  test('rows 8, 9, 10, 11, 12, 13: three tokens are exactly four frames', async () => {
    const daemon = await hearth.serve({ mock: { tokens: ['alpha ', 'beta ', 'gamma'] } });
    const client = await daemon.connect();
    await client.sendJson(say('spec-1'));
    client.halfClose();

    expect(await client.rest()).toEqual([
      { id: 'spec-1', type: 'token', content: 'alpha ' },
      { id: 'spec-1', type: 'token', content: 'beta ' },
      { id: 'spec-1', type: 'token', content: 'gamma' },
      {
        id: 'spec-1',
        type: 'done',
        content: 'alpha beta gamma',
        usage: { prompt_tokens: expect.any(Number) as number, completion_tokens: 3 },
        stop_reason: 'end',
        backend: 'mock',
      },
    ]);
  });

  test('row 14: empty messages are exactly one frame', async () => {
    const daemon = await hearth.serve();
    const client = await daemon.connect();
    await client.sendJson({ id: 'spec-2', messages: [] });
    client.halfClose();

    expect(await client.rest()).toEqual([
      {
        id: 'spec-2',
        type: 'error',
        code: 'invalid_request',
        message: expect.stringContaining('messages') as string,
      },
    ]);
  });

  test('row 21: a stream that drops after one of two tokens is exactly a token and an error', async () => {
    const daemon = await hearth.serve({ mock: { tokens: ['one', 'two'], mid_stream_drop_after: 1 } });
    const client = await daemon.connect();
    await client.sendJson(say('spec-3'));
    client.halfClose();

    expect(await client.rest()).toEqual([
      { id: 'spec-3', type: 'token', content: 'one' },
      { id: 'spec-3', type: 'error', code: 'backend_unavailable', message: expect.any(String) as string },
    ]);
  });

  test('row 46: the inference socket exists only from the moment the backend is ready', async () => {
    const daemon = hearth.spawnServe({ mock: { ready_after_ms: 1500 } });
    const admin = await daemon.admin();

    // The backend turns ready 1.5 s after the admin socket was there, so these 200 ms lie before.
    const until = performance.now() + 200;
    while (performance.now() < until) {
      const refusal = await RawClient.connect(daemon.home.inferenceSocket).catch((error: unknown) => error);
      expect(isAbsent(refusal)).toBe(true);
    }
    expect(admin.seen.map((frame) => frame['status'])).not.toContain('ready');

    const client = await daemon.ready();
    expect((await client.ask(say('spec-4'))).at(-1)).toMatchObject({ id: 'spec-4', type: 'done' });

    const flipped = timeOf(await daemon.log.waitFor({ msg: 'backend_state', state: 'ready' }));
    const served = timeOf(await daemon.log.waitFor({ msg: 'daemon_ready' }));
    expect(served - flipped).toBeLessThan(150);
  });
});
