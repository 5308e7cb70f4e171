import { once } from 'node:events';
import net from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { bindTcp, type BindTcpOptions, type BoundTcp, checkReach, parseTcpAddress } from './bind-tcp.js';
import { StartupError } from './startup-error.js';

const bound: BoundTcp[] = [];
afterEach(async () => {
  await Promise.all(bound.splice(0).map((tcp) => tcp.close()));
});

async function bind(text: string, options: Partial<BindTcpOptions> = {}): Promise<BoundTcp> {
  const tcp = await bindTcp({
    address: parseTcpAddress(text),
    onConnection: (socket) => socket.end('hello'),
    ...options,
  });
  bound.push(tcp);
  return tcp;
}

describe('row 39: loopback TCP', () => {
  it.each(['127.0.0.1:0', 'localhost:0', 'LOCALHOST:0', '127.8.9.10:0'])(
    'binds %s to a port of the kernel and serves',
    async (text) => {
      const { address } = await bind(text);
      expect(address.port).toBeGreaterThan(0);
      expect(address.loopback).toBe(true);
      const client = net.connect(address.port, address.host);
      const [data] = (await once(client, 'data')) as [Buffer];
      expect(data.toString()).toBe('hello');
      client.destroy();
    },
  );

  it('says that a port is taken', async () => {
    const { address } = await bind('127.0.0.1:0');
    await expect(bind(`127.0.0.1:${address.port}`)).rejects.toMatchObject({ kind: 'address_in_use' });
  });

  it('says that an address is not of this machine', async () => {
    const guard = { allowNonLoopback: true, hasKey: true };
    await expect(bind('203.0.113.7:0', guard)).rejects.toMatchObject({ kind: 'bind_failed' });
  });

  it.each([
    ['127.0.0.1:47321', { host: '127.0.0.1', family: 4, port: 47_321, loopback: true }],
    ['localhost:1', { host: '127.0.0.1', family: 4, port: 1, loopback: true }],
    ['[::1]:65535', { host: '::1', family: 6, port: 65_535, loopback: true }],
    ['[0:0:0:0:0:0:0:1]:1', { host: '0:0:0:0:0:0:0:1', family: 6, port: 1, loopback: true }],
    ['0.0.0.0:1', { host: '0.0.0.0', family: 4, port: 1, loopback: false }],
    ['[::]:1', { host: '::', family: 6, port: 1, loopback: false }],
    ['192.168.1.5:1', { host: '192.168.1.5', family: 4, port: 1, loopback: false }],
    ['128.0.0.1:1', { host: '128.0.0.1', family: 4, port: 1, loopback: false }],
    ['[fe80::1]:1', { host: 'fe80::1', family: 6, port: 1, loopback: false }],
  ])('reads %s', (text, expected) => {
    expect(parseTcpAddress(text)).toEqual(expected);
  });

  it.each([
    '',
    ':',
    ':8080',
    '8080',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '127.0.0.1:-1',
    '127.0.0.1:1.5',
    '127.0.0.1:0x10',
    '127.0.0.1: 80',
    ' 127.0.0.1:80',
    '127.0.0.1:80\n',
    '127.1:80',
    '0127.0.0.1:80',
    '2130706433:80',
    '0x7f.0.0.1:80',
    '*:80',
    '::1:80',
    '[::1]',
    '[127.0.0.1]:80',
    '[]:80',
    '[::1%lo]:80',
    'localhost.:80',
    'localhost.evil.example:80',
    'my-laptop:80',
    'http://127.0.0.1:80',
    '127.0.0.1:80/x',
  ])('row 39: %j is an error that shows what to write', (text) => {
    expect(() => parseTcpAddress(text)).toThrow(StartupError);
    expect(() => parseTcpAddress(text)).toThrow(/127\.0\.0\.1:|\[::1\]:/);
  });
});

describe('row 115, S2: addresses that other machines reach fail closed', () => {
  it.each(['0.0.0.0:0', '[::]:0', '[0:0:0:0:0:0:0:0]:0', '192.168.1.5:0', '10.0.0.1:0', '[fe80::1]:0'])(
    'refuses %s and says what to do',
    async (text) => {
      await expect(bind(text)).rejects.toMatchObject({ kind: 'bad_address' });
      await expect(bind(text)).rejects.toThrow('127.0.0.1');
      await expect(bind(text, { allowNonLoopback: true })).rejects.toThrow('--tcp-key-env');
      await expect(bind(text, { hasKey: true })).rejects.toThrow('127.0.0.1');
    },
  );

  it.each([
    '[::ffff:127.0.0.1]:0',
    '[::ffff:0.0.0.0]:0',
    '[::ffff:0:0]:0',
    '[0:0:0:0:0:ffff:7f00:1]:0',
    '255.255.255.255:0',
    '224.0.0.1:0',
    '239.255.255.250:0',
    '[ff02::1]:0',
  ])('refuses %s always', (text) => {
    expect(() => parseTcpAddress(text)).toThrow(StartupError);
  });

  it('lets one through where the person has asked for it and a key guards it', async () => {
    const { address } = await bind('0.0.0.0:0', { allowNonLoopback: true, hasKey: true });
    expect(address).toMatchObject({ host: '0.0.0.0', loopback: false });
  });

  it('whatever is read and let through without opt-in is loopback', () => {
    const host = fc.oneof(
      fc.ipV4(),
      fc.ipV4Extended(),
      fc.ipV6().map((ip) => `[${ip}]`),
      fc.domain(),
      fc.string(),
    );
    fc.assert(
      fc.property(host, fc.integer({ min: -1, max: 70_000 }), (name, port) => {
        let address;
        try {
          address = parseTcpAddress(`${name}:${port}`);
          checkReach(address, {});
        } catch (error) {
          expect(error).toBeInstanceOf(StartupError);
          return;
        }
        expect(address.family === 4 ? address.host.startsWith('127.') : /^[0:]+1$/.test(address.host)).toBe(
          true,
        );
      }),
    );
  });
});
