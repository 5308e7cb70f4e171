import { describe, expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';
import type { RawClient } from '../support/raw-client.js';
import { askOnce, type Frame, say } from '../support/raw-client.js';

describe('routing over several backends', () => {
  const hearth = hearthScope('test');

  test('row 74: the first in order that is ready serves, always', async () => {
    const daemon = await hearth.serve({ mock: [{ name: 'first' }, { name: 'second' }, { name: 'third' }] });
    const client = await daemon.connect();
    for (let turn = 0; turn < 10; turn += 1) {
      expect((await client.ask(say('who'))).at(-1)).toMatchObject({ type: 'done', backend: 'first' });
    }
    client.destroy();
  });

  test.each([{ pre_stream_error: 'unavailable' }, { mid_stream_drop_after: 1, tokens: ['a', 'b'] }] as const)(
    'row 75: after three failures of %j the next backend serves, and the log says why',
    async (fault) => {
      const daemon = await hearth.serve({ mock: [{ name: 'broken', ...fault }, { name: 'sound' }] });
      const client = await daemon.connect();
      expect(await ends(client, 8)).toEqual([
        'backend_unavailable',
        'backend_unavailable',
        'backend_unavailable',
        ...Array.from({ length: 5 }, () => 'sound'),
      ]);
      client.destroy();
      expect(await daemon.log.waitFor({ msg: 'breaker_opened', backend: 'broken' })).toMatchObject({
        level: 'warn',
      });
    },
  );

  test('row 75: internal faults count too', async () => {
    const daemon = await hearth.serve({
      mock: [{ name: 'broken', pre_stream_error: 'internal' }, { name: 'sound' }],
    });
    const client = await daemon.connect();
    expect(await ends(client, 4)).toEqual(['internal', 'internal', 'internal', 'sound']);
    client.destroy();
  });

  test('row 76: a thousand requests that the backend calls invalid leave the breaker closed', async () => {
    const daemon = await hearth.serve({
      mock: [{ name: 'strict', pre_stream_error: 'invalid_request' }, { name: 'other' }],
    });
    const client = await daemon.connect();
    const seen = new Map<string, number>();
    for (const end of await ends(client, 1000)) seen.set(end, (seen.get(end) ?? 0) + 1);
    expect(seen).toEqual(new Map([['invalid_request', 1000]]));
    client.destroy();
    expect(daemon.log.matching({ msg: 'breaker_opened' })).toEqual([]);
  });

  test('row 76: requests that a client abandons do not count', async () => {
    const mock = [{ name: 'slow', tokens: ['a', 'b'], token_delay_ms: 50 }, { name: 'other' }];
    const daemon = await hearth.serve({ mock });
    for (let turn = 0; turn < 5; turn += 1) {
      const client = await daemon.connect();
      await client.sendJson(say(`gone-${turn}`));
      await client.frame();
      client.destroy();
    }
    expect((await askOnce(daemon.home.inferenceSocket, say('next'))).at(-1)).toMatchObject({
      backend: 'slow',
    });
  });

  test('row 77: when no backend is left the answer says so', async () => {
    const daemon = await hearth.serve({ mock: [{ name: 'a', pre_stream_error: 'unavailable' }] });
    const client = await daemon.connect();
    await ends(client, 3);
    expect(await client.ask(say('last'))).toEqual([
      {
        id: 'last',
        type: 'error',
        code: 'backend_unavailable',
        message: expect.stringContaining('no backend available') as string,
      },
    ]);
    client.destroy();
  });
});

/** How each of `count` requests ended: the backend that served it, or the code of its error. */
async function ends(client: RawClient, count: number): Promise<readonly string[]> {
  const all: string[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    const last: Frame | undefined = (await client.ask(say(`t${turn}`))).at(-1);
    all.push(String(last?.['type'] === 'done' ? last['backend'] : last?.['code']));
  }
  return all;
}
