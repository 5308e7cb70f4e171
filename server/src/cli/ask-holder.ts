import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { DrainRequest, HelloRequest, wireVersion } from '@hearth/protocol';
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-jsonrpc/node';
import { thisBuild } from '../version.js';

/** The daemon that holds the lock, over its rpc socket. Exactly one of the three must end the conversation. */
export interface Holder {
  readonly hello: HelloRequest.Result;
  /** Asks it to drain; resolves when it has closed the connection, which is its end. */
  drain(): Promise<void>;
  /** Gives the connection up as a plain socket: nothing has been said on it that was not answered. */
  release(): Socket;
  close(): void;
}

/** How long a holder may take to say who it is, in milliseconds. One that is being stopped never does. */
const helloMs = 5000;

/** Says hello to whoever listens at `path`. Undefined where nobody does, or where it ended before it answered. */
export async function askHolder(path: string): Promise<Holder | undefined> {
  const socket = await open(path);
  if (socket === undefined) return undefined;
  const connection = createMessageConnection(
    new StreamMessageReader(socket),
    new StreamMessageWriter(socket),
  );
  const closed = once(socket, 'close').catch(() => undefined);
  connection.listen();
  const late = setTimeout(() => socket.destroy(), helloMs);
  try {
    const asked = connection.sendRequest(HelloRequest.type, { wireVersion, build: thisBuild() });
    const hello = await Promise.race([asked, closed.then(() => undefined)]);
    if (hello === undefined) return undefined;
    return {
      hello,
      drain: async () => {
        await Promise.race([connection.sendRequest(DrainRequest.type), closed]);
        await closed;
      },
      release: () => {
        connection.dispose();
        // The reader's own listener would go on reading.
        socket.pause();
        socket.removeAllListeners('data');
        return socket;
      },
      close: () => {
        socket.destroy();
      },
    };
  } catch {
    socket.destroy();
    return undefined;
  } finally {
    clearTimeout(late);
  }
}

function open(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      // 'close' follows, and says all that there is to say.
      socket.on('error', () => undefined);
      resolve(socket);
    });
    socket.once('error', () => {
      resolve(undefined);
    });
  });
}
