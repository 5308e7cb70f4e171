import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { HeldService, serveBefore } from '../support/held-service.js';
import { allGone, descendants, isAlive, type ProcessIdentity } from '../support/processes.js';
import { askOnce, say } from '../support/raw-client.js';
import { until } from '../support/wait.js';

/** A text that goes on long enough to be interrupted: only a digit could end it, and the grammar lets it wait. */
const endless = { max_tokens: 900, grammar: 'root ::= [a-z ]+ "9"', temperature: 1 };

describe('processes that are killed', () => {
  const hearth = hearthScope('test');

  test('row 43: after kill -9 of the daemon the next one takes over lock and sockets', async () => {
    const first = await serveBefore(hearth, await HeldService.listen(['a', 'b']));
    const client = await first.connect();
    await client.sendJson(say('cut'));
    await client.frame();
    expect(await first.crash()).toEqual({ code: null, signal: 'SIGKILL' });
    // Its clients see the end of the stream, without a terminal frame.
    expect(await client.rest()).toEqual([]);
    for (const left of ['hearth.sock', 'admin.sock', 'rpc.sock', 'hearth.lock']) {
      expect(fs.readdirSync(first.home.runtimeDir)).toContain(left);
    }

    const second = await hearth.serve({ home: first.home });
    expect((await askOnce(second.home.inferenceSocket, say('again'))).at(-1)).toMatchObject({ type: 'done' });
    expect((await second.stop()).code).toBe(0);
    expect(fs.readdirSync(first.home.runtimeDir)).toEqual(['hearth.lock']);
  });

  test('row 43: the same, again and again', async () => {
    const home = hearth.makeHome();
    for (let round = 0; round < 5; round += 1) {
      const daemon = await hearth.serve({ home });
      await daemon.crash();
    }
    const last = await hearth.serve({ home });
    expect((await askOnce(home.inferenceSocket, say('last'))).at(-1)).toMatchObject({ type: 'done' });
    expect((await last.stop()).code).toBe(0);
  });

  test('row 121: kill -9 of the daemon leaves no engine worker', async () => {
    const daemon = await hearth.serve({ plain: true });
    const workers = await workersOf(daemon);
    await daemon.crash();
    await allGone(workers, 'engine workers of a daemon that was killed');
  });

  test('row 121: nor in the middle of a generation', async () => {
    const daemon = await hearth.serve({ plain: true });
    const workers = await workersOf(daemon);
    const client = await daemon.connect();
    await client.sendJson(say('cut', endless));
    await client.frame();
    await daemon.crash();
    await allGone(workers, 'engine workers of a daemon that was killed');
    client.destroy();
  });

  test('kill -9 of the engine worker in mid-stream ends its stream alone; daemon and engine come back', async () => {
    const daemon = await hearth.serve({ plain: true });
    const [worker] = await workersOf(daemon);
    const client = await daemon.connect();
    await client.sendJson(say('cut', endless));
    expect(await client.frame()).toMatchObject({ id: 'cut', type: 'token' });
    process.kill(worker!.pid, 'SIGKILL');

    // The stream ends with exactly one typed error; the connection and the daemon stay.
    const rest = await client.reply();
    expect(rest.at(-1)).toMatchObject({ id: 'cut', type: 'error', code: 'backend_unavailable' });
    expect(daemon.hasExited).toBe(false);
    expect(daemon.log.matching({ msg: 'request_error_mid_stream', req_id: 'cut' })).toHaveLength(1);

    // While it comes back requests are refused, not held and not dropped; then it serves on the same connection.
    await daemon.log.waitFor({ msg: 'backend_state', state: 'ready' }, { count: 2 });
    expect((await client.ask(say('again', { max_tokens: 4 }))).at(-1)).toMatchObject({
      id: 'again',
      type: 'done',
    });
    client.destroy();

    const [replacement] = await workersOf(daemon);
    expect(replacement!.pid).not.toBe(worker!.pid);
    expect((await daemon.stop()).code).toBe(0);
    await allGone([worker!, replacement!], 'engine workers');
  });

  test('kill -9 of the idle engine worker: a request that comes meanwhile gets a typed answer', async () => {
    const daemon = await hearth.serve({ plain: true });
    const [worker] = await workersOf(daemon);
    process.kill(worker!.pid, 'SIGKILL');
    await allGone([worker!], 'the worker that was killed');
    const last = (await askOnce(daemon.home.inferenceSocket, say('meanwhile', { max_tokens: 2 }))).at(-1);
    // Either it came before the daemon knew, or after the engine was back, or in between.
    expect([last?.['type'], last?.['code']]).toSatisfy(
      ([type, code]: unknown[]) => type === 'done' || code === 'backend_unavailable',
    );
    await daemon.log.waitFor({ msg: 'backend_state', state: 'ready' }, { count: 2 });
    expect(
      (await askOnce(daemon.home.inferenceSocket, say('after', { max_tokens: 2 }))).at(-1),
    ).toMatchObject({
      type: 'done',
    });
  });

  test('a daemon that stops leaves no engine worker', async () => {
    const daemon = await hearth.serve({ plain: true });
    const workers = await workersOf(daemon);
    expect((await daemon.stop()).code).toBe(0);
    expect(workers.filter(isAlive)).toEqual([]);
  });
});

/** The engine workers of a daemon: its children. There is at least one. */
async function workersOf(daemon: HearthProcess): Promise<readonly ProcessIdentity[]> {
  return until(
    () => {
      const children = descendants(daemon.pid);
      return children.length > 0 ? children : undefined;
    },
    () => 'the daemon has no engine worker',
  );
}
