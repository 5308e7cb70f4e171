import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { proveAsClient, readSecret } from './mutual-proof.js';

/** Where a daemon listens: a Unix socket or named pipe by its path, or TCP. */
export type Address = { readonly path: string } | { readonly host: string; readonly port: number };

export interface DialOptions {
  /** Stops trying. The promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /**
   * How long to keep trying, in milliseconds. 0: try once.
   * @default 30_000
   */
  readonly timeoutMs?: number;
  /** The clock; a test brings its own. */
  readonly clock?: Clock;
}

/** Time as {@link dial} needs it. */
export interface Clock {
  /** Milliseconds from any fixed moment. */
  now(): number;
  /** Resolves after `ms`; rejects when `signal` aborts. */
  sleep(ms: number, signal: AbortSignal | undefined): Promise<void>;
}

/** No connection came about. `cause` is the last attempt's own error. */
export class ConnectError extends Error {
  override readonly name = 'ConnectError';

  constructor(
    message: string,
    /** System error code of the last attempt, such as `ECONNREFUSED`; `ETIMEDOUT` where it got no answer. */
    readonly code: string,
    /** How often it was tried. */
    readonly attempts: number,
    cause: unknown,
  ) {
    super(message, { cause });
  }
}

const firstDelayMs = 100;
const longestDelayMs = 5_000;
/** The last attempt is made at the deadline, and gets this long all the same. */
const shortestAttemptMs = 250;

/** What a daemon that is not up yet, or is busy taking others in, looks like. Anything else will not mend itself. */
const transientCodes: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOENT', 'EAGAIN', 'EBUSY']);

const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, signal === undefined ? {} : { signal }),
};

/**
 * Connects, and tries again while the daemon is absent or refuses: after 100 ms, then twice as long each time up
 * to 5 s, within `timeoutMs` altogether. Any other failure is final at once (row 172).
 *
 * @throws ConnectError where no connection came about.
 * @throws the signal's reason when it was aborted.
 */
export async function dial(address: Address, options: DialOptions = {}): Promise<net.Socket> {
  const { signal, timeoutMs = 30_000, clock = systemClock } = options;
  const deadline = clock.now() + timeoutMs;
  let delay = firstDelayMs;
  for (let attempt = 1; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      // One attempt needs an end too: a TCP peer may never answer.
      const left = timeoutMs === 0 ? 30_000 : Math.max(shortestAttemptMs, deadline - clock.now());
      return await dialProven(address, left, signal);
    } catch (error) {
      signal?.throwIfAborted();
      const code = codeOf(error);
      const left = deadline - clock.now();
      if (!transientCodes.has(code)) throw finalError(code, attempt, error);
      if (left <= 0) throw absentError(code, attempt, error);
      await clock.sleep(Math.min(delay, left), signal).catch((reason: unknown) => {
        signal?.throwIfAborted();
        throw reason;
      });
      delay = Math.min(delay * 2, longestDelayMs);
    }
  }
}

/** A connection to a daemon that has proved itself, where it asks for proof (see mutual-proof.ts). */
async function dialProven(
  address: Address,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<net.Socket> {
  const secret = 'path' in address ? await readSecret(address.path) : undefined;
  const socket = await dialOnce(address, timeoutMs, signal);
  if (secret !== undefined) await proveAsClient(socket, secret);
  return socket;
}

function dialOnce(address: Address, timeoutMs: number, signal: AbortSignal | undefined): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect('path' in address ? { path: address.path } : { ...address, noDelay: true });
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' }));
    }, timeoutMs);
    const abort = (): void => {
      socket.destroy(new Error('aborted'));
    };
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      socket.off('error', fail);
    };
    const fail = (error: Error): void => {
      settle();
      reject(error);
    };
    signal?.addEventListener('abort', abort, { once: true });
    socket.once('error', fail);
    socket.once('connect', () => {
      settle();
      resolve(socket);
    });
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNKNOWN';
}

function finalError(code: string, attempts: number, cause: unknown): ConnectError {
  const reasons: Record<string, string> = {
    EACCES: 'You may not open this socket. It belongs to the user who started the daemon.',
    ENOTSOCK: 'What is at this path is not a socket. Check the path.',
    EPROOF: 'Whoever listens there is not the daemon of this user, or it has just been restarted. Try again.',
    ETIMEDOUT: 'Nothing answered at this address. Check host and port.',
  };
  const reason = reasons[code] ?? 'Check the address.';
  return new ConnectError(
    `The connection to the Hearth daemon failed (${code}). ${reason}`,
    code,
    attempts,
    cause,
  );
}

function absentError(code: string, attempts: number, cause: unknown): ConnectError {
  const message = `No Hearth daemon is listening here (${code}). Start one with \`hearth serve\`, or open VS Code with Hearth.`;
  return new ConnectError(message, code, attempts, cause);
}
