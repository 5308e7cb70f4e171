import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '@hearth/protocol/node';
import { describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess, type Home, isAbsent } from '../support/daemon.js';
import { askOnce, RawClient, say } from '../support/raw-client.js';
import { health, RpcPeer } from '../support/rpc-peer.js';
import { until, within } from '../support/wait.js';

const dist = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../dist');

describe('one owner', () => {
  const hearth = hearthScope('test');

  /** A sidecar as an editor spawns it. */
  const sidecar = (home: Home, ...more: readonly string[]): HearthProcess =>
    hearth.run([...flags(home), ...more], { home });

  test('row 42: of eight sidecars that start at once one is the holder, and all serve', async () => {
    const home = hearth.makeHome();
    const processes = Array.from({ length: 8 }, () => sidecar(home));
    const answers = await Promise.all(processes.map((one) => health(RpcPeer.of(one))));
    const holders = new Set(answers.map(({ pid }) => pid));
    expect(holders.size).toBe(1);
    expect(processes.map(({ pid }) => pid)).toContain([...holders][0]);
    expect(processes.filter(({ hasExited }) => hasExited)).toEqual([]);
    await endAll(processes);
  });

  test('a second editor is served by the first one, and the end of the first ends nothing while it is used', async () => {
    const home = hearth.makeHome();
    const mock = JSON.stringify({ tokens: ['a', 'b', 'c', 'd'], token_delay_ms: 300 });
    const first = sidecar(home, '--mock', mock);
    const held = await health(RpcPeer.of(first));
    const second = sidecar(home);
    const relay = RpcPeer.of(second);
    expect(await health(relay)).toMatchObject({ pid: held.pid });
    expect(held.pid).toBe(first.pid);

    const answer = relay.request('hearth/generate', {
      request: say('shared'),
      client: 'test',
      progressToken: 1,
    });
    await relay.notified('$/progress');
    first.child.stdin?.end();
    expect(await answer).toMatchObject({ result: { content: 'abcd', stopReason: 'end' } });
    expect(first.hasExited).toBe(false);
    expect(await health(relay)).toMatchObject({ pid: first.pid });

    second.child.stdin?.end();
    expect((await second.end()).code).toBe(0);
    expect((await first.end()).code).toBe(0);
    expect(fs.readdirSync(home.runtimeDir)).toEqual(['hearth.lock']);
  });

  test('row 43: kill -9 of the holder: its relays end, and of those that come after one is the holder', async () => {
    const home = hearth.makeHome();
    const first = sidecar(home);
    await health(RpcPeer.of(first));
    const relays = [sidecar(home), sidecar(home), sidecar(home)];
    await Promise.all(relays.map((one) => health(RpcPeer.of(one))));
    await first.crash();
    for (const relay of relays) expect(await relay.end()).toEqual({ code: 0, signal: null });

    const next = [sidecar(home), sidecar(home), sidecar(home)];
    const answers = await Promise.all(next.map((one) => health(RpcPeer.of(one))));
    expect(new Set(answers.map(({ pid }) => pid)).size).toBe(1);
    expect(next.map(({ pid }) => pid)).toContain(answers[0]?.pid);
    await endAll(next);
  });

  test('a request without a frame is sent once more by the client library when its holder is killed', async () => {
    const home = hearth.makeHome();
    const first = await hearth.serve({ home, mock: { token_delay_ms: 600_000 } });
    const client = await connect({ path: home.inferenceSocket });
    const answer = client.complete({ messages: [{ role: 'user', content: 'hello' }] });
    await until(
      async () => ((await permitsInUse(home)) === 1 ? true : undefined),
      () => 'the request does not run',
    );
    await first.crash();
    await hearth.serve({ home, mock: { tokens: ['second'] } });
    expect(await answer).toMatchObject({ content: 'second' });
    client.close();
  });

  test('a newer build has an older holder hand over, without a lost frame', async () => {
    const home = hearth.makeHome();
    const older = sidecar(home, '--mock', JSON.stringify({ tokens: ['a', 'b', 'c'], token_delay_ms: 400 }));
    const peer = RpcPeer.of(older);
    await health(peer);
    const client = await inference(home);
    await client.sendJson(say('runs'));
    await client.frame();

    const newer = hearth.run(flags(home), { home, script: copyOfBuild(home, 60_000) });
    const drained = peer.notified('hearth/draining');
    expect(await client.rest()).toMatchObject([
      { id: 'runs', type: 'token', content: 'b' },
      { id: 'runs', type: 'token', content: 'c' },
      { id: 'runs', type: 'done', content: 'abc' },
    ]);
    await drained;
    expect(await older.end()).toEqual({ code: 0, signal: null });
    expect(await health(RpcPeer.of(newer))).toMatchObject({ pid: newer.pid });
    await endAll([newer]);
  });

  test('an older build is served by a newer holder', async () => {
    const home = hearth.makeHome();
    const newer = sidecar(home);
    await health(RpcPeer.of(newer));
    const older = hearth.run(flags(home), { home, script: copyOfBuild(home, -60_000) });
    expect(await health(RpcPeer.of(older))).toMatchObject({ pid: newer.pid });
    expect(newer.hasExited).toBe(false);
    await endAll([older, newer]);
  });

  test('who comes at the moment of an idle end is served, by the one that ends or by the next', async () => {
    const home = hearth.makeHome();
    for (let round = 0; round < 6; round += 1) {
      const leaving = sidecar(home);
      await health(RpcPeer.of(leaving));
      leaving.child.stdin?.end();
      // Beside the end, each time at another moment of it.
      await new Promise((resolve) => setTimeout(resolve, round * 10));
      const coming = sidecar(home);
      expect((await health(RpcPeer.of(coming))).pid).toBeGreaterThan(0);
      await endAll([coming]);
      await leaving.end();
    }
  });

  test('who comes while the holder lingers keeps it', async () => {
    const home = hearth.makeHome();
    const holder = sidecar(home, '--linger-secs', '3');
    await health(RpcPeer.of(holder));
    holder.child.stdin?.end();
    const client = await inference(home);
    // The wait begins anew with whoever comes; after it, the holder is still here for the one who stayed.
    await new Promise((resolve) => setTimeout(resolve, 3500));
    expect((await client.ask(say('still'))).at(-1)).toMatchObject({ type: 'done' });
    client.destroy();
    expect((await holder.end()).code).toBe(0);
  });

  test('a relay whose flags are wrong ends as a holder would', async () => {
    const home = hearth.makeHome();
    const holder = sidecar(home);
    await health(RpcPeer.of(holder));
    const wrong = sidecar(home, '--queue-depth', '-1', '--drain-timeout-secs', '0');
    expect((await wrong.end()).code).toBe(2);
    expect(wrong.stderr).toMatch(/queue_depth.*drain_timeout_secs|drain_timeout_secs.*queue_depth/);
    const unknown = sidecar(home, '--queue-dept', '3');
    expect((await unknown.end()).code).toBe(2);
    expect(unknown.stderr).toContain('--queue-depth');
    expect(await askOnce(home.inferenceSocket, say('on'))).toHaveLength(2);
    await endAll([holder]);
  });

  test('asked for help, a sidecar gives it and takes no part; flags before the command are refused', async () => {
    const home = hearth.makeHome();
    const help = sidecar(home, '--help');
    expect(await help.end()).toMatchObject({ code: 0 });
    expect(help.stdout).toContain('--runtime-dir');
    const before = hearth.run(['--', 'sidecar'], { home });
    expect(await before.end()).toMatchObject({ code: 2 });
    expect(before.stderr).toContain('Put the command first');
    expect(fs.existsSync(home.rpcSocket)).toBe(false);
  });
});

function flags(home: Home): readonly string[] {
  const places = ['--runtime-dir', home.runtimeDir, '--log-dir', home.logDir];
  return ['sidecar', ...places, '--engine', 'mock', '--linger-secs', '0'];
}

/** This build once more, made `laterMs` later than it was. */
function copyOfBuild(home: Home, laterMs: number): string {
  const folder = path.join(home.root, 'build');
  const script = path.join(folder, 'hearth.cjs');
  fs.mkdirSync(folder);
  for (const name of fs.readdirSync(dist).filter((one) => /\.[cm]js$/.test(one)))
    fs.copyFileSync(path.join(dist, name), path.join(folder, name));
  // The packages with native code are found beside the build.
  fs.symlinkSync(path.join(dist, '../node_modules'), path.join(folder, 'node_modules'), 'dir');
  const made = new Date(fs.statSync(path.join(dist, 'hearth.cjs')).mtimeMs + laterMs);
  fs.utimesSync(script, made, made);
  return script;
}

/** A connection to the inference socket as soon as there is one. */
async function inference(home: Home): Promise<RawClient> {
  return until(
    async () => {
      try {
        return await RawClient.connect(home.inferenceSocket);
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
    },
    () => 'there is no inference socket',
  );
}

async function permitsInUse(home: Home): Promise<number> {
  const peer = await RpcPeer.connect(home.rpcSocket);
  try {
    return (await health(peer)).admission.permitsInUse;
  } finally {
    peer.close();
  }
}

/** Ends them as their editors would: by closing their input. */
async function endAll(processes: readonly HearthProcess[]): Promise<void> {
  for (const one of processes) one.child.stdin?.end();
  const codes = await within(
    Promise.all(processes.map(async (one) => (await one.end()).code)),
    () => 'sidecars have not ended',
  );
  expect(codes).toEqual(processes.map(() => 0));
}
