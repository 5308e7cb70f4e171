import type { Socket } from 'node:net';

/** How long a peer that has its last answer may go on talking before it is cut off, in milliseconds. */
const lingerMs = 2000;

/**
 * Ends a connection so that the peer gets all that was written to it, at its own pace. To close with unread input
 * resets the connection, and the reset can overtake the last frame: so what still comes is read and thrown away,
 * until the peer closes or its time is up. Source: lingering close as HTTP servers do it (RFC 9112 section 9.6).
 *
 * @param writeTimeoutMs longest that the last writes may wait for the peer to read them; 0: for ever.
 */
export async function lingeringClose(socket: Socket, writeTimeoutMs: number): Promise<void> {
  if (socket.destroyed) return;
  await new Promise<void>((resolve) => {
    let timer = writeTimeoutMs === 0 ? undefined : setTimeout(() => socket.destroy(), writeTimeoutMs);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once('finish', () => {
      clearTimeout(timer);
      if (socket.readableEnded) socket.destroy();
      else timer = setTimeout(() => socket.destroy(), lingerMs);
    });
    socket.end();
    if (!socket.readableEnded) socket.resume();
  });
}
