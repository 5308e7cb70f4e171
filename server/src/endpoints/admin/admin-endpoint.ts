import type { Socket } from 'node:net';
import { type AdminFrame, encodeFrame } from '@hearth/protocol';
import type { StatusBoard } from '../../status/status-board.js';

/** Frames that may wait for a client that does not read. One more, and it is disconnected (row 54). */
const maxLag = 256;

/**
 * Serves one client of the admin socket: the snapshot, then what happens, until either side ends. Read-only:
 * whatever the client writes is thrown away (row 55). Resolves when the socket has closed.
 */
export function serveAdmin(socket: Socket, board: StatusBoard): Promise<void> {
  let waiting = 0;
  const send = (frame: AdminFrame): void => {
    if (waiting >= maxLag) {
      socket.destroy();
      return;
    }
    waiting += 1;
    socket.write(encodeFrame(frame), () => {
      waiting -= 1;
    });
  };
  for (const frame of board.snapshot()) send(frame);
  board.events.on('frame', send);
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      board.events.off('frame', send);
      resolve();
    });
  });
  // A client that goes away in mid-frame is its own affair; 'close' follows.
  socket.on('error', () => undefined);
  socket.resume();
  return closed;
}
