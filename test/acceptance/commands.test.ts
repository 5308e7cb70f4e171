import fs from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Exit, hearthScope, type HearthProcess, type Home } from '../support/daemon.js';
import { isObject, say } from '../support/raw-client.js';
import { health, RpcPeer } from '../support/rpc-peer.js';
import { until } from '../support/wait.js';

describe('the commands that look after a daemon', () => {
  const hearth = hearthScope('test');
  const at = async (home: Home, ...args: string[]): Promise<HearthProcess & { exit: Exit }> => {
    const one = hearth.run([...args, '--runtime-dir', home.runtimeDir], { home });
    return Object.assign(one, { exit: await one.end() });
  };

  test('hearth doctor is content with a daemon that serves, and ends with 0', async () => {
    const daemon = await hearth.serve();
    const doctor = await at(daemon.home, 'doctor');
    expect(doctor.stdout).not.toContain('BAD');
    for (const title of ['Node', 'Engine binary', 'Memory', 'Embedded model', 'Runtime directory', 'Daemon'])
      expect(doctor.stdout).toContain(title);
    expect(doctor.exit.code).toBe(0);
  });

  test('hearth doctor says that none runs and what to do, and ends with 4', async () => {
    const home = hearth.makeHome();
    const doctor = await at(home, 'doctor', '--json');
    expect(doctor.exit.code).toBe(4);
    const report: unknown = JSON.parse(doctor.stdout);
    expect(report).toMatchObject({ ready: false });
    const findings =
      isObject(report) && Array.isArray(report['findings']) ? (report['findings'] as unknown[]) : [];
    expect(findings).toContainEqual(
      expect.objectContaining({
        title: 'Daemon',
        verdict: 'bad',
        remedy: expect.stringContaining('hearth serve') as string,
      }),
    );
  });

  test('hearth doctor refuses a runtime directory that others can write to, and says how to close it', async () => {
    const home = hearth.makeHome();
    fs.chmodSync(home.runtimeDir, 0o777);
    const doctor = await at(home, 'doctor');
    expect(doctor.exit.code).toBe(4);
    expect(doctor.stdout).toContain('chmod 700');
  });

  test('hearth doctor notes a socket whose rights somebody has changed', async () => {
    const daemon = await hearth.serve();
    fs.chmodSync(daemon.home.rpcSocket, 0o666);
    const doctor = await at(daemon.home, 'doctor');
    expect(doctor.stdout).toMatch(/rpc\.sock has mode 666/);
    expect(doctor.exit.code).toBe(0);
  });

  test('a daemon that says nothing is told from one that is not there', async () => {
    const daemon = await hearth.serve();
    daemon.signal('SIGSTOP');
    try {
      const [status, doctor, stop] = await Promise.all(
        ['status', 'doctor', 'stop'].map((command) => at(daemon.home, command)),
      );
      expect(status?.exit.code).toBe(4);
      expect(status?.stderr).toContain('does not answer');
      expect(doctor?.exit.code).toBe(4);
      expect(doctor?.stdout).toContain('does not answer');
      expect(stop?.exit.code).toBe(4);
    } finally {
      daemon.signal('SIGCONT');
    }
  });

  test('hearth doctor tells of the last trouble', async () => {
    const daemon = await hearth.serve({ mock: { pre_stream_error: 'internal' } });
    await at(daemon.home, 'generate', 'hi');
    expect((await at(daemon.home, 'doctor')).stdout).toContain('request_error_pre_stream');
  });

  test('hearth status --watch tells of work as it comes and goes', async () => {
    const daemon = await hearth.serve({ mock: { token_delay_ms: 600_000 } });
    const watch = hearth.run(['status', '--watch', '--runtime-dir', daemon.home.runtimeDir], {
      home: daemon.home,
    });
    await watch.printed('permits 0 of 1 in use');
    await watch.printed('ready · 0 of 1 running · 0 waiting');
    // It runs until it was told of: states of which only the last counts may be passed over.
    const client = await daemon.connect();
    await client.sendJson(say('one'));
    await watch.printed('ready · 1 of 1 running · 0 waiting');
    client.destroy();
    const told = (): string[] =>
      [...watch.stdout.matchAll(/^ready · (\d of 1 running)/gm)].map(([, load]) => load ?? '');
    await until(
      () => (told().length >= 3 ? true : undefined),
      () => watch.describe(),
    );
    expect(told().slice(0, 3)).toEqual(['0 of 1 running', '1 of 1 running', '0 of 1 running']);
    await daemon.stop();
    expect((await watch.end()).code).toBe(0);
  });

  test('hearth watch follows the daemon to its end', async () => {
    const daemon = await hearth.serve();
    const watch = hearth.run(['watch', '--runtime-dir', daemon.home.runtimeDir], { home: daemon.home });
    await watch.printed('ready');
    await daemon.stop();
    expect((await watch.end()).code).toBe(0);
    expect(watch.stdout).toContain('shutting down');
  });

  test('hearth lsp is what `sidecar` is, for any editor: it answers initialize, and the warm model is shared', async () => {
    const home = hearth.makeHome();
    const lsp = (): HearthProcess =>
      hearth.run(
        [
          'lsp',
          '--runtime-dir',
          home.runtimeDir,
          '--log-dir',
          home.logDir,
          '--engine',
          'mock',
          '--linger-secs',
          '0',
        ],
        { home },
      );
    const [vim, emacs] = [lsp(), lsp()];
    const [one, other] = [RpcPeer.of(vim), RpcPeer.of(emacs)];
    for (const peer of [one, other]) {
      const answer = await peer.request('initialize', { processId: null, rootUri: null, capabilities: {} });
      expect(answer['result']).toMatchObject({
        capabilities: { inlineCompletionProvider: expect.anything() as unknown },
      });
    }
    expect((await health(one)).pid).toBe((await health(other)).pid);
    vim.child.stdin?.end();
    emacs.child.stdin?.end();
    expect([(await vim.end()).code, (await emacs.end()).code]).toEqual([0, 0]);
  });

  test('hearth config check prints what holds, and ends with 2 where something is wrong', async () => {
    const home = hearth.makeHome();
    const right = await at(home, 'config', 'check', '--queue-depth', '7');
    expect(JSON.parse(right.stdout)).toMatchObject({ queue_depth: 7, runtime_dir: home.runtimeDir });
    const wrong = await at(home, 'config', 'check', '--queue-depth', '-7', '--active-permits', '0');
    expect(wrong.exit.code).toBe(2);
    expect(wrong.stderr).toMatch(/active_permits.*queue_depth|queue_depth.*active_permits/);
    expect(wrong.stdout).toBe('');
  });
});
