import { beforeEach, describe, expect, test } from 'vitest';
import { hearthScope, type Home } from '../support/daemon.js';
import { ModelServer } from '../support/model-store.js';
import { askOnce, say } from '../support/raw-client.js';
import { RpcPeer } from '../support/rpc-peer.js';
import { makeTinyGguf } from '../support/tiny-gguf.js';

/** Channels over JSON-RPC: an editor is a client among clients, and answers what others ask. */

const hearth = hearthScope('test');
let home: Home;

beforeEach(() => {
  home = hearth.makeHome();
});

/** An editor that answers these kinds of questions. */
async function editor(...kinds: readonly string[]): Promise<RpcPeer> {
  const peer = await RpcPeer.connect(home.rpcSocket);
  await channel(peer, { type: 'handle', id: 'h', kinds });
  expect(await frame(peer)).toEqual({ type: 'handling', id: 'h', kinds });
  return peer;
}

async function channel(peer: RpcPeer, request: object): Promise<void> {
  expect(await peer.request('hearth/channel', request)).toMatchObject({ result: null });
}

async function frame(peer: RpcPeer): Promise<Readonly<Record<string, unknown>>> {
  return (await peer.nextNotified('hearth/channelFrame'))['params'] as Record<string, unknown>;
}

test('an editor subscribes, publishes and acknowledges over JSON-RPC as others do on the socket', async () => {
  const daemon = await hearth.serve({ home });
  const [one, other] = [await RpcPeer.connect(home.rpcSocket), await daemon.connect()];
  await channel(one, { type: 'subscribe', id: 's', channel: 'test/room', max_in_flight: 1 });
  const { subscription } = await frame(one);
  for (const body of ['a', 'b']) {
    await other.sendJson({ type: 'publish', id: body, channel: 'test/room', body });
    expect(await other.frame()).toMatchObject({ type: 'published', delivered: 1 });
  }
  expect(await frame(one)).toMatchObject({ type: 'event', subscription, seq: 1, body: 'a' });
  await channel(one, { type: 'ack', subscription, seq: 1 });
  expect(await frame(one)).toMatchObject({ type: 'event', seq: 2, body: 'b' });
  await channel(one, { type: 'publish', id: 'p', channel: 'test/other', body: {} });
  expect(await frame(one)).toMatchObject({ type: 'published', id: 'p', delivered: 0 });
  await channel(one, { type: 'subscribe', id: 'x', channel: 'metrcis' });
  expect(await frame(one)).toMatchObject({ type: 'error', id: 'x', code: 'not_found' });
  const wrong = await one.request('hearth/channel', { type: 'subscribe', channel: 7 });
  expect(wrong['error']).toMatchObject({ data: { code: 'invalid_request' } });
  other.destroy();
  one.close();
});

test('an editor that has spoken of channels is told when the daemon goes, another one only in its own words', async () => {
  const daemon = await hearth.serve({ home });
  const [speaks, silent] = [await editor('approve_tool_call'), await RpcPeer.connect(home.rpcSocket)];
  await silent.request('hearth/health');
  const stopped = daemon.stop();
  expect(await frame(speaks)).toEqual({ type: 'disconnect', id: '', reason: 'draining' });
  await silent.notified('hearth/draining');
  await stopped;
  expect(silent.count('hearth/channelFrame')).toBe(0);
});

describe('hearth approve', () => {
  test('asks the editor, and says by its exit code what the answer was', async () => {
    await hearth.serve({ home });
    const peer = await editor('approve_tool_call');
    for (const [approved, code, out] of [
      [true, 0, 'allowed\n'],
      [false, 7, 'denied\n'],
    ] as const) {
      const asking = hearth.run(
        ['approve', 'deploy', '--runtime-dir', home.runtimeDir, '--summary', 'to the test machine'],
        { home },
      );
      const { correlation, ...push } = await frame(peer);
      expect(push).toEqual({
        type: 'push',
        id: '',
        kind: 'approve_tool_call',
        question: { tool: 'deploy', summary: 'to the test machine' },
      });
      await channel(peer, { type: 'reply', correlation, body: { approved } });
      expect(await asking.end()).toMatchObject({ code });
      expect(asking.stdout).toBe(out);
    }
    peer.close();
  });

  test('says that nobody is there to be asked, with and without a daemon', async () => {
    const ask = async (): Promise<string> => {
      const asking = hearth.run(['approve', 'deploy', '--runtime-dir', home.runtimeDir], { home });
      expect(await asking.end()).toMatchObject({ code: 4 });
      return asking.stderr;
    };
    expect(await ask()).toContain('nobody is there to be asked');
    await hearth.serve({ home });
    expect(await ask()).toContain('nobody is there to be asked');
  });

  test('ends when the editor that was asked goes away', async () => {
    await hearth.serve({ home });
    const peer = await editor('approve_tool_call');
    const asking = hearth.run(['approve', 'deploy', '--runtime-dir', home.runtimeDir], { home });
    await frame(peer);
    peer.close();
    expect((await asking.end()).code).not.toBe(0);
    expect(asking.stderr).toContain('peer_disconnected');
    const wrong = hearth.run(['approve', 'deploy', '--runtime-dir', home.runtimeDir, '--timeout', '0'], {
      home,
    });
    expect(await wrong.end()).toMatchObject({ code: 2 });
  });
});

test('a model of the catalogue that is named and not there is fetched when the editor says yes', async () => {
  const server = await ModelServer.start(makeTinyGguf());
  try {
    await hearth.serve({ plain: true, home, env: { HF_ENDPOINT: server.origin } });
    const named = async (): Promise<unknown> =>
      (await askOnce(home.inferenceSocket, say('x', { model: 'qwen2.5-coder-0.5b', max_tokens: 2 }))).at(-1);
    // Nobody is there to be asked: the answer says what to do.
    expect(await named()).toMatchObject({
      type: 'error',
      message: expect.stringContaining('hearth pull') as unknown,
    });
    const peer = await editor('confirm_download');
    expect(await named()).toMatchObject({ type: 'error' });
    const { correlation, ...push } = await frame(peer);
    expect(push).toMatchObject({ kind: 'confirm_download', question: { model: 'qwen2.5-coder-0.5b' } });
    expect(server.requests).toEqual([]);
    await channel(peer, { type: 'reply', correlation, body: { approved: true } });
    // The editor joins what the daemon has begun.
    const pulled = await peer.request('hearth/pullModel', { source: 'qwen2.5-coder-0.5b' });
    expect(pulled['result']).toMatchObject({ name: 'qwen2.5-coder-0.5b' });
    expect(home.log.matching({ msg: 'model_pulled' })).toHaveLength(1);
    expect(await named()).toMatchObject({ type: 'done', usage: { completion_tokens: 2 } });
    peer.close();
  } finally {
    await server.close();
  }
});
