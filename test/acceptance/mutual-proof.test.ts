import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { once } from 'node:events';
import { connect, ConnectError, dial } from '@hearth/protocol/node';
import { describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess, type Home } from '../support/daemon.js';
import { RawClient } from '../support/raw-client.js';
import { health, RpcPeer } from '../support/rpc-peer.js';

/** Sockets on which both ends prove themselves before anything is said (S2: where the kernel cannot say who it is). */
describe('a daemon that asks for proof', () => {
  const hearth = hearthScope('test');
  /** Starts one with its own configuration file. */
  const serveProving = async (home: Home): Promise<HearthProcess> => {
    const file = path.join(home.root, 'config.json');
    fs.writeFileSync(file, JSON.stringify({ socket_proof: 'always' }));
    return hearth.serve({ home, args: ['--config', file] });
  };
  const secretOf = (directory: string): string => path.join(directory, 'hearth.secret');

  test('serves the client library, the commands and relays, and nobody who cannot read the secret', async () => {
    const home = hearth.makeHome();
    const daemon = await serveProving(home);
    const { mode } = fs.statSync(secretOf(home.runtimeDir));
    expect(mode & 0o777).toBe(0o600);

    const client = await connect({ path: home.inferenceSocket });
    let text = '';
    for await (const piece of client.generate({ messages: [{ role: 'user', content: 'hi' }] })) text += piece;
    expect(text).toBe('mock-response');
    client.close();

    const status = hearth.run(['status', '--runtime-dir', home.runtimeDir], { home });
    expect((await status.exited).code).toBe(0);
    const relay = hearth.run(['sidecar', '--runtime-dir', home.runtimeDir], { home });
    expect(await health(RpcPeer.of(relay))).toMatchObject({ pid: daemon.pid });

    for (const socket of [home.inferenceSocket, home.adminSocket, home.rpcSocket]) {
      const stranger = await RawClient.connect(socket);
      stranger.socket.write('{"messages":[{"role":"user","content":"hi"}]}\n');
      expect(await stranger.rest()).toEqual([]);
      stranger.socket.destroy();
    }
    relay.child.stdin?.end();
    await relay.exited;
  });

  test('the secret is another one at each start, and goes with the daemon', async () => {
    const home = hearth.makeHome();
    const first = await serveProving(home);
    const one = fs.readFileSync(secretOf(home.runtimeDir), 'latin1');
    expect(one).toMatch(/^[0-9a-f]{64}$/);
    await first.stop();
    expect(fs.existsSync(secretOf(home.runtimeDir))).toBe(false);
    await serveProving(home);
    expect(fs.readFileSync(secretOf(home.runtimeDir), 'latin1')).not.toBe(one);
  });

  test('S5: a client says nothing to a listener that cannot prove itself', async () => {
    const home = hearth.makeHome();
    fs.mkdirSync(home.runtimeDir, { recursive: true, mode: 0o700 });
    fs.writeFileSync(secretOf(home.runtimeDir), 'ab'.repeat(32), { mode: 0o600 });
    let heard = '';
    const impostor = net.createServer((socket) => {
      socket.on('data', (chunk) => {
        heard += chunk.toString();
        socket.write(`{"type":"proof","nonce":"${'0'.repeat(64)}","mac":"${'0'.repeat(64)}"}\n`);
      });
      socket.on('error', () => undefined);
    });
    impostor.listen(home.inferenceSocket);
    await once(impostor, 'listening');
    const failure: unknown = await dial({ path: home.inferenceSocket }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConnectError);
    expect(failure).toMatchObject({ code: 'EPROOF' });
    expect(heard).toMatch(/^\{"type":"prove","nonce":"[0-9a-f]{64}"\}\n$/);
    impostor.close();
    await once(impostor, 'close');
  });
});
