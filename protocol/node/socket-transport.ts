import type net from 'node:net';
import type { Transport } from '../src/client.js';

/** A transport on `socket`, which it owns from now on. */
export function socketTransport(socket: net.Socket): Transport {
  // Whoever reads or sends learns of an error there; one that comes when nobody does must not end the process.
  socket.on('error', () => undefined);
  return {
    chunks: socket,
    send: (bytes) =>
      new Promise((resolve, reject) => {
        // The callback comes when the kernel has taken the bytes: that is the back-pressure.
        socket.write(bytes, (error) => {
          if (error === undefined || error === null) resolve();
          else reject(error);
        });
      }),
    close: () => {
      socket.destroy();
    },
  };
}
