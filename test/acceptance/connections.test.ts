import { describe, expect, test } from 'vitest';
import { configured, hearthScope } from '../support/daemon.js';
import { askOnce, say } from '../support/raw-client.js';
import { until } from '../support/wait.js';

describe('connections', () => {
  const hearth = hearthScope('test');

  test('row 155: one connection too many is told the cap and its limit; when one leaves there is room', async () => {
    const home = hearth.makeHome();
    // The last sixteen are kept for editors and for whoever looks after the daemon.
    const daemon = hearth.spawnServe({ home, args: configured(home, { limits: { connections: 18 } }) });
    // No other connection was there before, which the daemon might still count.
    const held = [await daemon.ready(), await daemon.connect()];
    const refused = await daemon.connect();
    const [told, ...more] = await refused.rest();
    expect(told).toMatchObject({ id: '', type: 'error', code: 'queue_full' });
    expect(told?.['message']).toMatch(/limits\.connections.*2 /);
    expect(more).toEqual([]);
    refused.destroy();
    // Who is connected is served as before, and so is who looks after it.
    expect((await held[0]?.ask(say('held')))?.at(-1)).toMatchObject({ id: 'held', type: 'done' });
    (await daemon.admin()).destroy();
    held[1]?.destroy();
    await until(
      async () => {
        const frames = await askOnce(home.inferenceSocket, say('again')).catch(() => []);
        return frames.at(-1)?.['type'] === 'done' ? true : undefined;
      },
      () => 'no room after one has left',
    );
    held[0]?.destroy();
    expect(await daemon.log.waitFor({ msg: 'connections_shed' })).toMatchObject({ count: 1, limit: 18 });
  });
});
