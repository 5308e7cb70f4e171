import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { hearthScope, isAbsent } from '../support/daemon.js';
import { timeOf } from '../support/activity-log.js';
import { RawClient, say } from '../support/raw-client.js';
import { least } from '../support/wait.js';

describe('start', () => {
  const hearth = hearthScope('test');

  test('row 45: the admin socket answers while the backend loads, and there is no inference socket', async () => {
    const daemon = hearth.spawnServe({ mock: { ready_after_ms: -1 } });
    const admin = await daemon.admin();
    // `starting` or `loading_model`; a mock's capabilities are known at once and come before it.
    while (!['starting', 'loading_model'].includes(String((await admin.next())['status'])));
    expect(fs.existsSync(daemon.home.inferenceSocket)).toBe(false);
    expect((await daemon.stop()).signal).toBeNull();
  });

  test('row 46: to connect before ready fails as absent', async () => {
    const daemon = hearth.spawnServe({ mock: { ready_after_ms: -1 } });
    await daemon.admin();
    const refusal = await RawClient.connect(daemon.home.inferenceSocket).catch((error: unknown) => error);
    expect(isAbsent(refusal)).toBe(true);
  });

  test('row 47: a backend that never gets ready ends the start in time, with a code and a reason', async () => {
    const time = await least(2000, async () => {
      const args = ['--ready-timeout-secs', '1'];
      const daemon = hearth.spawnServe({ mock: { ready_after_ms: -1 }, args });
      const admin = await daemon.admin();
      const since = performance.now();
      const exit = await daemon.end();
      const ended = performance.now();

      expect(exit).toEqual({ code: 4, signal: null });
      expect(daemon.stderr).toContain('not ready');
      expect((await admin.untilEnd()).map((frame) => frame['status'])).not.toContain('ready');
      expect(fs.existsSync(daemon.home.inferenceSocket)).toBe(false);
      expect(fs.existsSync(daemon.home.adminSocket)).toBe(false);
      return ended - since;
    });
    expect(time).toBeLessThan(2000);
  });

  test('row 48: the listener waits for every backend', async () => {
    const daemon = hearth.spawnServe({
      mock: [
        { name: 'early', ready_after_ms: 0 },
        { name: 'late', ready_after_ms: 500 },
      ],
    });
    const client = await daemon.ready();
    const readyOf = async (backend: string): Promise<number> =>
      timeOf(await daemon.log.waitFor({ msg: 'backend_state', backend, state: 'ready' }));
    const served = timeOf(await daemon.log.waitFor({ msg: 'daemon_ready' }));
    expect(await readyOf('early')).toBeLessThan(await readyOf('late'));
    expect(served).toBeGreaterThanOrEqual(await readyOf('late'));
    expect((await client.ask(say('both'))).at(-1)).toMatchObject({ type: 'done', backend: 'early' });
  });

  test('row 48: one backend of two that never gets ready keeps the daemon from serving', async () => {
    const mock = [{ name: 'early' }, { name: 'never', ready_after_ms: -1 }];
    const daemon = hearth.spawnServe({ mock, args: ['--ready-timeout-secs', '1'] });
    expect((await daemon.end()).code).toBe(4);
    expect(daemon.stderr).toContain('not ready');
  });

  test('row 48: no backend at all is not ready: it does not start', async () => {
    const daemon = hearth.spawnServe({ mock: [] });
    expect((await daemon.end()).code).toBe(2);
    expect(daemon.stderr).toContain('mock');
  });

  test('row 49: ready is on the admin socket no later than the first inference connection', async () => {
    const daemon = hearth.spawnServe({ mock: { ready_after_ms: 300 } });
    const admin = await daemon.admin();
    const order: string[] = [];
    const announced = admin.until('ready').then(() => order.push('ready frame'));
    await daemon.ready();
    // What lay in the admin socket's buffer when the connection was made is read by the loop's next turns.
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    order.push('inference connection');
    await announced;
    expect(order).toEqual(['ready frame', 'inference connection']);
  });

  test.each([
    ['a model that does not exist', (home: string) => path.join(home, 'absent.gguf')],
    ['an unknown name', () => 'no-such-model'],
  ])('row 84: %s is a refusal to start, not a mock', async (_what, model) => {
    const home = hearth.makeHome();
    const daemon = hearth.spawnServe({ home, plain: true, args: ['--model', model(home.root)] });
    const exit = await daemon.end();
    expect(exit.signal).toBeNull();
    expect([2, 4]).toContain(exit.code);
    expect(daemon.stderr).toContain('model');
    expect(fs.existsSync(home.inferenceSocket)).toBe(false);
    expect(home.log.matching({ msg: 'daemon_ready' })).toEqual([]);
    expect(daemon.stdout).not.toContain('mock');
  });

  test('row 84: the knobs of the mock do not switch it on', async () => {
    const daemon = hearth.spawnServe({ plain: true, args: ['--mock', '{"tokens":["x"]}'] });
    expect((await daemon.end()).code).toBe(2);
    expect(daemon.stderr).toContain('mock');
  });
});
