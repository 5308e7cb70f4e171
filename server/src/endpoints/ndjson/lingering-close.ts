import type { Socket } from 'node:net';

/** How long a peer may go on talking after its last answer before it is cut off. */
const lingerMs = 2000;

/**
 * Ends a connection so that the peer gets all that was written to it. To close with unread input resets the
 * connection, and the reset can overtake the last frame: so what still comes is read and thrown away, until the
 * peer closes or its time is up. Source: lingering close as HTTP servers do it (RFC 9112 section 9.6).
 */
export async function lingeringClose(socket: Socket): Promise<void> {
  if (socket.destroyed) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    socket.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.end();
    if (socket.readableEnded) socket.destroySoon();
    else socket.resume();
  });
}
