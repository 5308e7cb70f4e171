import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import path from 'node:path';

/**
 * Both ends of a socket prove that they can read the same file, before anything else is said, where the kernel does not
 * say who is at the other end (named pipes on Windows, or wherever `socket_proof` is `always`).
 *
 * The secret, 32 random bytes made at each start of the daemon, lies in a file that only its user can read. It is never
 * sent: each end gives an HMAC-SHA-256 over both ends' nonces and its own role, so that no proof can be sent back to
 * whoever asked for it, and none can be used again.
 *
 *     client → {"type":"prove","nonce":N1}
 *     daemon → {"type":"proof","nonce":N2,"mac":HMAC(secret, "hearth daemon" N1 N2)}
 *     client → {"type":"proof","mac":HMAC(secret, "hearth client" N1 N2)}
 *
 * Nonces and MACs are 32 bytes in hexadecimal, each message is one line. An end that is not convinced closes without a
 * word.
 */

/** Bytes of the secret, of a nonce and of a MAC. */
export const proofBytes = 32;
/** Longest line of the exchange in bytes; ours have fewer than 200. */
const longestLine = 256;
/** How long the other end may take, in milliseconds. */
const patienceMs = 5000;

type Role = 'daemon' | 'client';

/** The other end could not prove itself. */
export class ProofError extends Error {
  override readonly name = 'ProofError';
  readonly code = 'EPROOF';

  constructor() {
    super('The other end of the socket could not prove that it belongs to the same user.');
  }
}

/** The file of the secret for the socket or the named pipe at `socketPath`. */
export function secretPathFor(
  socketPath: string,
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
): string {
  if (platform !== 'win32') return path.posix.join(path.posix.dirname(socketPath), 'hearth.secret');
  const hash = /-([0-9a-f]{16})$/.exec(socketPath)?.[1] ?? 'default';
  const home = env['LOCALAPPDATA'] ?? path.win32.join(env['USERPROFILE'] ?? '', '.hearth');
  return path.win32.join(home, 'hearth', 'run', `hearth-${hash}.secret`);
}

/** The secret of the daemon behind `socketPath`; undefined where it asks for no proof. */
export async function readSecret(socketPath: string): Promise<Buffer | undefined> {
  try {
    const text = await readFile(secretPathFor(socketPath), 'latin1');
    return isHex(text) ? Buffer.from(text, 'hex') : undefined;
  } catch {
    return undefined;
  }
}

/** Proves both ends of a socket on which nothing has been said. @throws ProofError, with the socket destroyed. */
export async function proveAsClient(socket: Socket, secret: Buffer): Promise<void> {
  await withPatience(socket, async () => {
    const ours = randomBytes(proofBytes).toString('hex');
    send(socket, { type: 'prove', nonce: ours });
    const answer = await readLine(socket);
    const theirs = answer?.['nonce'];
    if (!isHex(theirs) || !matches(answer?.['mac'], macOf(secret, 'daemon', ours, theirs))) return false;
    send(socket, { type: 'proof', mac: macOf(secret, 'client', ours, theirs) });
    return true;
  });
}

/** The daemon's half of {@link proveAsClient}. What the client sends behind its proof stays to be read. */
export async function proveAsDaemon(socket: Socket, secret: Buffer): Promise<void> {
  await withPatience(socket, async () => {
    const theirs = (await readLine(socket))?.['nonce'];
    if (!isHex(theirs)) return false;
    const ours = randomBytes(proofBytes).toString('hex');
    send(socket, { type: 'proof', nonce: ours, mac: macOf(secret, 'daemon', theirs, ours) });
    return matches((await readLine(socket))?.['mac'], macOf(secret, 'client', theirs, ours));
  });
}

async function withPatience(socket: Socket, prove: () => Promise<boolean>): Promise<void> {
  const ignore = (): void => undefined;
  const timer = setTimeout(() => socket.destroy(), patienceMs);
  socket.on('error', ignore);
  try {
    if (await prove()) return;
  } catch {
    // A socket that breaks off has proved nothing.
  } finally {
    clearTimeout(timer);
    socket.off('error', ignore);
  }
  socket.on('error', ignore);
  socket.destroy();
  throw new ProofError();
}

function send(socket: Socket, message: Readonly<Record<string, string>>): void {
  socket.write(`${JSON.stringify(message)}\n`);
}

/** The next line as an object; undefined where it is none. What follows the line is put back. */
async function readLine(socket: Socket): Promise<Readonly<Record<string, unknown>> | undefined> {
  let line = Buffer.alloc(0);
  for (;;) {
    const chunk: unknown = socket.read();
    if (chunk === null) {
      // The end may have come together with the last `readable`.
      if (socket.readableEnded || socket.destroyed) return undefined;
      const over = ['end', 'close'].map((event) => once(socket, event));
      await Promise.race([once(socket, 'readable'), ...over]);
      continue;
    }
    if (!Buffer.isBuffer(chunk)) return undefined;
    line = Buffer.concat([line, chunk]);
    const end = line.indexOf(0x0a);
    if (end > longestLine || (end === -1 && line.length > longestLine)) return undefined;
    if (end === -1) continue;
    if (end + 1 < line.length) socket.unshift(line.subarray(end + 1));
    return parse(line.subarray(0, end).toString('latin1'));
  }
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function macOf(secret: Buffer, role: Role, clientNonce: string, daemonNonce: string): string {
  return createHmac('sha256', secret).update(`hearth ${role}\n${clientNonce}\n${daemonNonce}`).digest('hex');
}

function matches(given: unknown, expected: string): boolean {
  return isHex(given) && timingSafeEqual(Buffer.from(given, 'hex'), Buffer.from(expected, 'hex'));
}

function isHex(value: unknown): value is string {
  return typeof value === 'string' && new RegExp(`^[0-9a-f]{${proofBytes * 2}}$`).test(value);
}
