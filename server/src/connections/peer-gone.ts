import type { Socket } from 'node:net';
import { descriptorOf, socketCalls } from './libc.js';

/**
 * Tells a peer that has gone from one that has only finished writing. Both look the same to a reader: the `end`
 * event. But a script may well write its request, shut down its writing half and wait for the answer, while the
 * work of one that has gone must stop at once (rows 66 to 68).
 *
 * The kernel knows: a Unix socket whose peer has closed, or died, reports POLLHUP; one whose peer has called
 * shutdown(SHUT_WR) does not. Only POLLOUT is asked for, since macOS reports a hang-up of the half that is asked
 * about. Over TCP the two cannot be told apart until the peer answers a write with a reset.
 */

const POLLOUT = 0x0004;
const POLLERR = 0x0008;
const POLLHUP = 0x0010;
const POLLNVAL = 0x0020;

/**
 * Whether the peer has closed both halves. It is exact for a Unix socket that has had its `end` event; if our own
 * side has ended as well, the answer is true, because nothing can pass any more in either direction.
 *
 * @returns undefined where it cannot be known: a closed socket, or a platform without poll
 */
export function isPeerGone(socket: Socket): boolean | undefined {
  const descriptor = descriptorOf(socket);
  if (descriptor === undefined) return undefined;
  const events = socketCalls()?.poll(descriptor, POLLOUT);
  if (events === undefined || (events & POLLNVAL) !== 0) return undefined;
  return (events & (POLLHUP | POLLERR)) !== 0;
}

export interface WatchPeerGoneOptions {
  /** Time between two looks, in milliseconds. @default 25 */
  readonly intervalMs?: number;
}

/**
 * Calls `onGone` once when the peer of a half-closed socket goes away. To be used only while work of that peer is
 * pending and its input is at its `end`, or is not being read; call the returned function when the work has ended.
 *
 * This looks again and again because there is no event to wait for: after the end of the input libuv stops
 * watching the descriptor for reading, and a hang-up is reported only to who watches. Each look is one system
 * call of a few microseconds. The timer keeps no process alive and ends with the socket. Where the kernel cannot
 * be asked there is no timer, and a write that fails is the first sign.
 */
export function watchPeerGone(
  socket: Socket,
  onGone: () => void,
  options: WatchPeerGoneOptions = {},
): () => void {
  let stopped = false;
  const stop = (): void => {
    stopped = true;
    clearInterval(timer);
    socket.off('close', stop);
  };
  const look = (): void => {
    if (stopped) return;
    const gone = isPeerGone(socket);
    if (gone === false) return;
    stop();
    if (gone === true) onGone();
  };
  socket.once('close', stop);
  const timer = setInterval(look, options.intervalMs ?? 25).unref();
  // At once, too, but never before the caller has the function to stop it.
  queueMicrotask(look);
  return stop;
}
