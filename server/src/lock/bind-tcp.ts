import net from 'node:net';
import { errorCode, StartupError } from './startup-error.js';

/** Where to listen over TCP. */
export interface TcpAddress {
  /** An IP literal, never a name. */
  readonly host: string;
  readonly family: 4 | 6;
  /** 0: the kernel chooses. */
  readonly port: number;
  /** Whether only this machine can reach it. */
  readonly loopback: boolean;
}

const loopback = new net.BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Nobody can listen on these with good reason. */
const neverBindable = new net.BlockList();
neverBindable.addSubnet('224.0.0.0', 4, 'ipv4');
neverBindable.addAddress('255.255.255.255', 'ipv4');
neverBindable.addSubnet('ff00::', 8, 'ipv6');

/** IPv4 addresses in IPv6's clothes: they pass where an IPv4 check looks only at the family. */
const mapped = new net.BlockList();
mapped.addSubnet('::ffff:0:0', 96, 'ipv6');

/**
 * Reads `HOST:PORT`, IPv6 in brackets. The host is an IP literal; of names only `localhost` is taken, and stands
 * for 127.0.0.1 without asking a resolver, since a name may come to mean another machine.
 *
 * @throws StartupError `bad_address` that shows what an address looks like
 */
export function parseTcpAddress(text: string): TcpAddress {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(text);
  const [, inBrackets, plain, portText] = match ?? [];
  const port = Number(portText);
  if (match === null || port > 65_535) {
    throw bad(
      `${JSON.stringify(text)} is not an address to listen on. Write HOST:PORT, such as 127.0.0.1:47321.`,
    );
  }
  if (inBrackets !== undefined) return checkIpv6(inBrackets, port);

  const host = plain?.toLowerCase() === 'localhost' ? '127.0.0.1' : (plain ?? '');
  if (!net.isIPv4(host)) {
    throw bad(
      `${JSON.stringify(host)} is not an IP address. Names are not resolved: write the address, such as ` +
        `127.0.0.1:${port} or [::1]:${port}.`,
    );
  }
  if (neverBindable.check(host, 'ipv4')) throw bad(`${host} is not an address that a server can have.`);
  return { host, family: 4, port, loopback: loopback.check(host, 'ipv4') };
}

function checkIpv6(host: string, port: number): TcpAddress {
  if (!net.isIPv6(host)) throw bad(`[${host}] is not an IPv6 address. Write one such as [::1]:${port}.`);
  if (mapped.check(host, 'ipv6')) {
    throw bad(`[${host}] is an IPv4 address in IPv6 form. Write it as IPv4, such as 127.0.0.1:${port}.`);
  }
  if (neverBindable.check(host, 'ipv6')) throw bad(`[${host}] is not an address that a server can have.`);
  return { host, family: 6, port, loopback: loopback.check(host, 'ipv6') };
}

/**
 * Lets through loopback addresses, and others only where the person has asked for it and a key guards the port
 * (rows 39, 115).
 *
 * @throws StartupError `bad_address` that says what to do
 */
export function checkReach(address: TcpAddress, guard: ReachGuard): void {
  if (address.loopback) return;
  if (!guard.allowNonLoopback) {
    throw bad(
      `${address.host} can be reached from other machines. Listen on 127.0.0.1:${address.port} instead, and let ` +
        'other machines come through a tunnel, such as ssh -L.',
    );
  }
  if (!guard.hasKey) {
    throw bad(
      `${address.host} can be reached from other machines, so it needs a key. Name one with --tcp-key-env.`,
    );
  }
}

export interface ReachGuard {
  /** @default false */
  readonly allowNonLoopback?: boolean;
  /** Whether clients must show a key. @default false */
  readonly hasKey?: boolean;
}

export interface BindTcpOptions extends ReachGuard {
  readonly address: TcpAddress;
  /** As in `net.createServer`. @default false */
  readonly allowHalfOpen?: boolean;
  /** As in `net.createServer`. @default false */
  readonly pauseOnConnect?: boolean;
  readonly onConnection: (socket: net.Socket) => void;
  /** A server that is to listen, such as one of HTTP. Default: a new one. */
  readonly server?: net.Server;
  /** A connection that could not be accepted, such as for want of descriptors. The server goes on. */
  readonly onAcceptError?: (error: Error) => void;
}

/** A TCP server that listens. */
export interface BoundTcp {
  readonly server: net.Server;
  /** With the port that the kernel has given. */
  readonly address: TcpAddress;
  /** Stops accepting at once; resolves when every connection has ended. Calling it again returns the same promise. */
  close(): Promise<void>;
}

/** Listens over TCP. @throws StartupError `bad_address`, `address_in_use` or `bind_failed` */
export async function bindTcp(options: BindTcpOptions): Promise<BoundTcp> {
  checkReach(options.address, options);
  const { allowHalfOpen = false, pauseOnConnect = false } = options;
  const server = options.server ?? net.createServer({ allowHalfOpen, pauseOnConnect, noDelay: true });
  server.on('connection', options.onConnection);
  await listen(server, options.address);
  server.on('error', (error) => options.onAcceptError?.(error));
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('a TCP server has an address');

  let closed: Promise<void> | undefined;
  return {
    server,
    address: { ...options.address, port: bound.port },
    close: () => {
      closed ??= new Promise((resolve) => server.close(() => resolve()));
      return closed;
    },
  };
}

function listen(server: net.Server, address: TcpAddress): Promise<void> {
  const { host, port } = address;
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      const code = errorCode(error);
      reject(
        code === 'EADDRINUSE'
          ? new StartupError(
              'address_in_use',
              `Port ${port} of ${host} is taken. Choose another, or 0 for any.`,
              {
                cause: error,
              },
            )
          : new StartupError(
              'bind_failed',
              `Hearth cannot listen on ${host}, port ${port} (${code ?? 'unknown error'}).`,
              {
                cause: error,
              },
            ),
      );
    };
    server.once('error', fail);
    // ipv6Only: `::` must not open IPv4 beside it.
    server.listen({ host, port, ipv6Only: address.family === 6 }, () => {
      server.off('error', fail);
      resolve();
    });
  });
}

function bad(message: string): StartupError {
  return new StartupError('bad_address', message);
}
