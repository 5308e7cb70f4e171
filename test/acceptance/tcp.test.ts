import net from 'node:net';
import { describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { askOnce, RawClient, say } from '../support/raw-client.js';

const key = 'correct-horse-battery';
const keyed = { args: ['--tcp', '127.0.0.1:0', '--tcp-key-env', 'A_KEY'], env: { A_KEY: key } };

describe('loopback TCP', () => {
  const hearth = hearthScope('test');

  test('row 39: 127.0.0.1:0 gives an ephemeral port that serves the same protocol', async () => {
    const daemon = await hearth.serve({ mock: { tokens: ['a', 'b'] }, args: ['--tcp', '127.0.0.1:0'] });
    const port = await tcpPort(daemon);
    expect(port).toBeGreaterThan(0);
    const overTcp = await askOnce({ port }, say('tcp'));
    expect(overTcp).toEqual(await askOnce(daemon.home.inferenceSocket, say('tcp')));
    expect(overTcp.map((frame) => frame['type'])).toEqual(['token', 'token', 'done']);
  });

  test('row 39: nothing listens on TCP unless it is asked for', async () => {
    const daemon = await hearth.serve();
    const admin = await daemon.admin();
    expect(await admin.until('ready')).not.toHaveProperty('tcp');
    admin.destroy();
  });

  test.each(['0.0.0.0:0', '[::]:0', '192.0.2.1:0'])(
    'row 39: %s needs an explicit opt-in',
    async (address) => {
      const daemon = hearth.spawnServe({ args: ['--tcp', address] });
      expect(await daemon.end()).toMatchObject({ code: 2 });
      expect(daemon.stderr).toContain('other machines');
    },
  );

  test('row 39: the opt-in needs a key, and then serves', async () => {
    const bare = hearth.spawnServe({ args: ['--tcp', '0.0.0.0:0', '--tcp-allow-remote'] });
    expect(await bare.end()).toMatchObject({ code: 2 });
    expect(bare.stderr).toContain('--tcp-key-env');

    const args = ['--tcp', '0.0.0.0:0', '--tcp-allow-remote', '--tcp-key-env', 'A_KEY'];
    const daemon = await hearth.serve({ args, env: { A_KEY: key } });
    const client = await RawClient.connect({ port: await tcpPort(daemon) });
    await client.sendJson({ type: 'auth', key });
    expect((await client.ask(say('remote'))).at(-1)).toMatchObject({ type: 'done' });
    client.destroy();
  });

  test.each(['nonsense', '127.0.0.1', '127.0.0.1:65536', '127.0.0.1:x', 'example.invalid:0', ''])(
    'row 39: the bad address %j is an error',
    async (address) => {
      const daemon = hearth.spawnServe({ args: ['--tcp', address] });
      expect(await daemon.end()).toMatchObject({ code: 2 });
      expect(daemon.stderr).toContain(address === '' ? 'tcp' : address.replace(/:0$/, ''));
    },
  );

  test('row 39: an address that is taken is an error', async () => {
    const other = net.createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    const daemon = hearth.spawnServe({ args: ['--tcp', `127.0.0.1:${address.port}`] });
    const exit = await daemon.end();
    other.close();
    expect(exit.code).not.toBe(0);
    expect(daemon.stderr).toContain(String(address.port));
  });

  test('row 40: the right key is served', async () => {
    const daemon = await hearth.serve(keyed);
    const client = await RawClient.connect({ port: await tcpPort(daemon) });
    await client.sendJson({ type: 'auth', key });
    expect((await client.ask(say('in'))).at(-1)).toMatchObject({ id: 'in', type: 'done' });
    client.destroy();
  });

  test.each([
    ['a wrong key', { type: 'auth', key: 'wrong' }],
    ['a key that only begins right', { type: 'auth', key: key.slice(0, -1) }],
    ['an empty key', { type: 'auth', key: '' }],
    ['a request in its place', say('no key')],
    ['a line that is no JSON', 'garbage'],
  ])('row 40: %s gets no frame and a close', async (_what, first) => {
    const daemon = await hearth.serve(keyed);
    const client = await RawClient.connect({ port: await tcpPort(daemon) });
    const line = typeof first === 'string' ? first : JSON.stringify(first);
    await client.send(`${line}\n`);
    expect(await client.rest()).toEqual([]);
    expect(client.remainder).toHaveLength(0);
    await daemon.log.waitFor({ msg: 'tcp_auth_rejected', level: 'warn' });
    expect(daemon.log.text()).not.toContain(key);
    client.destroy();
  });

  test('row 40: the Unix socket asks for no key', async () => {
    const daemon = await hearth.serve(keyed);
    expect((await askOnce(daemon.home.inferenceSocket, say('local'))).at(-1)).toMatchObject({ type: 'done' });
  });

  test('row 40: without a key none is asked for', async () => {
    const daemon = await hearth.serve({ args: ['--tcp', '127.0.0.1:0'] });
    expect((await askOnce({ port: await tcpPort(daemon) }, say('open'))).at(-1)).toMatchObject({
      type: 'done',
    });
  });

  test('row 40: a key whose variable is missing is an error that names the variable', async () => {
    const daemon = hearth.spawnServe({ args: ['--tcp', '127.0.0.1:0', '--tcp-key-env', 'NO_SUCH_KEY'] });
    expect(await daemon.end()).toMatchObject({ code: 2 });
    expect(daemon.stderr).toContain('NO_SUCH_KEY');
  });
});

async function tcpPort(daemon: HearthProcess): Promise<number> {
  const admin = await daemon.admin();
  const ready = await admin.until('ready');
  admin.destroy();
  return Number(/:(\d+)$/.exec(String(ready['tcp']))?.[1]);
}
