import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Exit, hearthScope, type HearthProcess, type Home, isAbsent } from '../support/daemon.js';
import { HeldService, serveBefore } from '../support/held-service.js';
import { processorTime } from '../support/processes.js';
import { type Frame, RawClient, say } from '../support/raw-client.js';
import { until } from '../support/wait.js';

/** A token that takes longer than any test: whoever waits for it holds the permit until it is ended. */
const never = 600_000;

describe('the end of the daemon', () => {
  const hearth = hearthScope('test');

  const at = async (home: Home, ...args: string[]): Promise<HearthProcess & { exit: Exit }> => {
    const one = hearth.run([...args, '--runtime-dir', home.runtimeDir], { home });
    return Object.assign(one, { exit: await one.end() });
  };

  test('rows 58, 144: subscribers hear of it and then of the end; nothing else is left behind', async () => {
    const daemon = await hearth.serve();
    const subscribers = await Promise.all([daemon.admin(), daemon.admin(), daemon.admin()]);
    for (const one of subscribers) await one.until('ready');
    daemon.signal('SIGTERM');
    for (const one of subscribers)
      expect((await one.untilEnd()).at(-1)).toEqual({ id: 'admin', type: 'status', status: 'draining' });
    expect((await daemon.end()).code).toBe(0);
    expect(fs.readdirSync(daemon.home.runtimeDir)).toEqual(['hearth.lock']);
    const order = daemon.log
      .records()
      .map((record) => record['msg'])
      .filter((msg) => ['daemon_draining', 'daemon_stopped'].includes(String(msg)));
    expect(order).toEqual(['daemon_draining', 'daemon_stopped']);
  });

  test('row 144: with nobody connected it ends at once', async () => {
    const daemon = await hearth.serve({ args: ['--drain-timeout-secs', '600'] });
    daemon.signal('SIGTERM');
    expect((await daemon.end()).code).toBe(0);
  });

  test('row 144: idle connections are closed, and hold nothing up', async () => {
    const daemon = await hearth.serve({ args: ['--drain-timeout-secs', '600'] });
    const idle = await Promise.all([daemon.connect(), daemon.connect()]);
    daemon.signal('SIGTERM');
    for (const client of idle) expect(await client.rest()).toEqual([]);
    expect((await daemon.end()).code).toBe(0);
  });

  test('row 145: what runs finishes with done, what waits ends with an error, each exactly once', async () => {
    const service = await HeldService.listen(['a', 'b', 'c']);
    const daemon = await serveBefore(hearth, service);
    const [client, asking] = [await daemon.connect(), await daemon.connect()];
    await client.sendJson(say('runs'));
    await client.frame();
    await asking.sendJson(say('waits', { events: true }));
    expect(await asking.frame()).toMatchObject({ type: 'accepted' });
    daemon.signal('SIGTERM');
    expect(await asking.frame()).toMatchObject({
      id: 'waits',
      type: 'error',
      code: 'draining',
      retryable: true,
    });
    service.release();
    expect(await asking.rest()).toEqual([]);
    expect(await client.rest()).toMatchObject([
      { id: 'runs', type: 'token' },
      { id: 'runs', type: 'token' },
      { id: 'runs', type: 'done', content: 'abc', stop_reason: 'end' },
    ]);
    expect((await daemon.end()).code).toBe(0);
  });

  test('rows 144, 145: what outlasts the drain is ended, with one terminal frame', async () => {
    const daemon = await hearth.serve({
      mock: { token_delay_ms: never },
      args: ['--drain-timeout-secs', '1'],
    });
    const client = await daemon.connect();
    await client.sendJson(say('endless', { events: true }));
    await client.frames(2);
    daemon.signal('SIGTERM');
    expect(await client.rest()).toMatchObject([{ id: 'endless', type: 'done', stop_reason: 'cancelled' }]);
    expect((await daemon.end()).code).toBe(0);
  });

  test('row 146: a second signal hastens the end and does not begin it anew', async () => {
    const daemon = await hearth.serve({
      mock: { token_delay_ms: never },
      args: ['--drain-timeout-secs', '600'],
    });
    const client = await daemon.connect();
    await client.sendJson(say('endless', { events: true }));
    await client.frames(2);
    daemon.signal('SIGTERM');
    await daemon.log.waitFor({ msg: 'daemon_draining' });
    daemon.signal('SIGTERM');
    expect(await client.rest()).toHaveLength(1);
    expect((await daemon.end()).code).toBe(0);
    for (const msg of ['daemon_draining', 'daemon_stopped'])
      expect(daemon.log.matching({ msg })).toHaveLength(1);
  });

  test('row 148: once it drains no connection is admitted, at any of its sockets', async () => {
    const service = await HeldService.listen(['a', 'b']);
    const daemon = await serveBefore(hearth, service);
    const client = await daemon.connect();
    await client.sendJson(say('runs'));
    await client.frame();
    const admin = await daemon.admin();
    daemon.signal('SIGTERM');
    await admin.until('draining');
    const before = daemon.log.matching({ msg: 'connection_accepted' }).length;
    const { home } = daemon;
    for (const socket of [home.inferenceSocket, home.adminSocket, home.rpcSocket]) {
      const refusal = await RawClient.connect(socket).catch((error: unknown) => error);
      expect(isAbsent(refusal)).toBe(true);
    }
    service.release();
    expect((await client.rest()).at(-1)).toMatchObject({ type: 'done', content: 'ab' });
    await daemon.end();
    expect(daemon.log.matching({ msg: 'connection_accepted' })).toHaveLength(before);
  });

  test('hearth drain lets what runs finish, and waits for the end', async () => {
    const service = await HeldService.listen(['a', 'b']);
    const daemon = await serveBefore(hearth, service);
    const client = await daemon.connect();
    await client.sendJson(say('runs'));
    await client.frame();
    const draining = at(daemon.home, 'drain');
    await daemon.log.waitFor({ msg: 'daemon_draining' });
    service.release();
    const drain = await draining;
    expect(drain.exit.code).toBe(0);
    expect(drain.stdout).toContain(String(daemon.pid));
    expect((await client.rest()).at(-1)).toMatchObject({ type: 'done', content: 'ab', stop_reason: 'end' });
    expect((await daemon.end()).code).toBe(0);
  });

  test('hearth stop ends what runs too', async () => {
    const daemon = await hearth.serve({
      mock: { token_delay_ms: never },
      args: ['--drain-timeout-secs', '600'],
    });
    const client = await daemon.connect();
    await client.sendJson(say('endless', { events: true }));
    await client.frames(2);
    expect((await at(daemon.home, 'stop')).exit.code).toBe(0);
    expect(await client.rest()).toMatchObject([{ type: 'done', stop_reason: 'cancelled' }]);
    expect((await daemon.end()).code).toBe(0);
  });

  test.each(['drain', 'stop'])('hearth %s is done where nothing runs', async (command) => {
    const idle = await at(hearth.makeHome(), command);
    expect(idle.exit.code).toBe(0);
    expect(idle.stdout).toContain('no daemon runs');
  });
});

describe.runIf(process.platform === 'linux')('what an idle daemon costs, and one that runs out', () => {
  const hearth = hearthScope('test');

  test(
    'row 164: idle, with connections, it uses at most 1 % of a processor over 10 s',
    { timeout: 80_000 },
    async () => {
      const daemon = await hearth.serve();
      const clients = await Promise.all([daemon.connect(), daemon.connect(), daemon.admin()]);
      // What it did to start is over when its garbage is: after a second in which it did next to nothing.
      await until(
        async () => {
          const used = processorTime(daemon.pid);
          await new Promise((resolve) => setTimeout(resolve, 1000));
          return processorTime(daemon.pid) - used <= 10 ? true : undefined;
        },
        () => 'it does not come to rest',
      );
      const before = processorTime(daemon.pid);
      await new Promise((resolve) => setTimeout(resolve, 10_000));
      expect(processorTime(daemon.pid) - before).toBeLessThanOrEqual(100);
      for (const client of clients) client.destroy();
    },
  );

  test('row 165: out of descriptors it sheds with a record, does not spin, and recovers', async () => {
    const daemon = await hearth.serve({ descriptors: 80, mock: { tokens: ['a'] } });
    const first = await daemon.connect();
    const crowd = await Promise.all(
      Array.from({ length: 120 }, () => RawClient.connect(daemon.home.inferenceSocket)),
    );
    const shed = await daemon.log.waitFor({ msg: 'connections_shed' });
    expect(shed['level']).toBe('warn');
    // Those that were turned away know it, those that were not are served, and so is who was there before.
    await until(
      () => (crowd.filter((client) => client.ended).length >= 60 ? true : undefined),
      () => 'the connections that were too many are still open',
    );
    expect((await first.ask(say('before'))).at(-1)).toMatchObject({ type: 'done' });
    const admitted = crowd.filter((client) => !client.ended);
    expect(admitted.length).toBeGreaterThan(0);
    expect((await admitted[0]!.ask(say('admitted'))).at(-1)).toMatchObject({ type: 'done' });

    const before = processorTime(daemon.pid);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(processorTime(daemon.pid) - before).toBeLessThan(300);

    for (const client of crowd) client.destroy();
    const again = await until(
      async () => {
        const client = await daemon.connect();
        const frames: readonly Frame[] = await client.ask(say('again')).catch(() => []);
        client.destroy();
        // While the crowd's connections close, one more may still be refused.
        return frames.at(-1)?.['type'] === 'done' ? frames.at(-1) : undefined;
      },
      () => 'it has not recovered',
    );
    expect(again).toMatchObject({ id: 'again', type: 'done' });
    first.destroy();
  });
});
