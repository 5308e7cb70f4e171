import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '../src/client.js';
import type { ClientOptions, HearthClient } from '../src/client.js';
import type { AuthFrame } from '../src/auth.js';
import { encodeFrameBytes } from '../src/ndjson.js';
import { dial } from './dial.js';
import type { Address, DialOptions } from './dial.js';
import { resendingClient } from './resending.js';
import { socketTransport } from './socket-transport.js';

/**
 * How long to wait before a lost connection is replaced, in milliseconds. The kernel closes the sockets of a process
 * that was killed one by one: who comes back at once can still reach its listener, and is lost again.
 */
const settleMs = 100;

export { ConnectError } from './dial.js';

/** Where to connect. `key` is sent as the first frame of a TCP connection; a Unix socket needs none. */
export type Endpoint =
  { readonly path: string } | { readonly host: string; readonly port: number; readonly key?: string };

export interface ConnectOptions extends DialOptions, ClientOptions {
  /**
   * How long to try for a new connection where the present one is lost, in milliseconds. A request that had no frame
   * of its answer by then is sent once more on the new one; one that had a frame throws {@link ConnectionLostError}.
   * 0: no request is ever sent again.
   * @default 10_000
   */
  readonly resendWithinMs?: number;
}

/**
 * Connects to a daemon's inference socket. While the daemon is not there or not ready, which is the same to a
 * client, it tries again for `timeoutMs` (see {@link dial}).
 *
 * The signal ends the connecting only; each request takes its own. Close the client when you are done: an open
 * connection keeps the process alive.
 *
 * @example
 * const client = await connect({ path: '/run/user/1000/hearth/hearth.sock' });
 * try {
 *   for await (const text of client.generate({ messages: [{ role: 'user', content: 'Hello' }] })) {
 *     process.stdout.write(text);
 *   }
 * } finally {
 *   client.close();
 * }
 *
 * @throws ConnectError where no connection came about.
 * @throws the signal's reason when it was aborted.
 */
export async function connect(endpoint: Endpoint, options: ConnectOptions = {}): Promise<HearthClient> {
  const { resendWithinMs: timeoutMs = 10_000, signal: _firstOnly, ...rest } = options;
  const client = await open(endpoint, options);
  if (timeoutMs === 0) return client;
  return resendingClient(client, async (signal) => {
    await sleep(settleMs, undefined, { signal });
    return open(endpoint, { ...rest, signal, timeoutMs });
  });
}

async function open(endpoint: Endpoint, options: ConnectOptions): Promise<HearthClient> {
  const transport = socketTransport(await dial(addressOf(endpoint), options));
  const client = createClient(transport, options);
  if (!('path' in endpoint) && endpoint.key !== undefined) {
    const frame: AuthFrame = { type: 'auth', key: endpoint.key };
    // A daemon that refuses the key closes without a word; the first request then reports the lost connection.
    await transport.send(encodeFrameBytes(frame)).catch(() => undefined);
  }
  return client;
}

function addressOf(endpoint: Endpoint): Address {
  return 'path' in endpoint ? { path: endpoint.path } : { host: endpoint.host, port: endpoint.port };
}
