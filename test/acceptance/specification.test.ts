import { describe, expect, test } from 'vitest';
import { hearthScope, isAbsent } from '../support/daemon.js';
import { RawClient, say } from '../support/raw-client.js';
import { timeOf } from '../support/activity-log.js';
import { least } from '../support/wait.js';

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
    const delay = await least(150, async () => {
      const daemon = hearth.spawnServe({ mock: { ready_after_ms: 1000 } });
      (await daemon.admin()).destroy();
      let client: unknown;
      for (let refusals = 0; !(client instanceof RawClient); refusals += 1) {
        client = await RawClient.connect(daemon.home.inferenceSocket).catch((error: unknown) => error);
        if (client instanceof RawClient) expect(refusals).toBeGreaterThan(0);
        else expect(isAbsent(client)).toBe(true);
        // Not all of the processor is ours.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      // By the first connection that is taken the backend is ready, and what is sent is served.
      const [flipped = {}] = daemon.log.matching({ msg: 'backend_state', state: 'ready' });
      expect((await client.ask(say('spec-4'))).at(-1)).toMatchObject({ id: 'spec-4', type: 'done' });
      client.destroy();
      return timeOf(await daemon.log.waitFor({ msg: 'daemon_ready' })) - timeOf(flipped);
    });
    expect(delay).toBeLessThan(150);
  });
});
