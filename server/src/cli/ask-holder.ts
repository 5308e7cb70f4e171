import { once } from 'node:events';
import type { Socket } from 'node:net';
import { DrainRequest, HelloRequest, wireVersion } from '@hearth/protocol';
import { thisBuild } from '../version.js';
import { openRpc } from './open-rpc.js';

/** The daemon that holds the lock, over its rpc socket. `drain`, `release` or `close` must end the conversation. */
export interface Holder {
  readonly hello: HelloRequest.Result;
  /** Asks it to drain; resolves when it has closed the connection, which is its end. */
  drain(): Promise<void>;
  /** Asks it once more, which makes it end running requests now. */
  hasten(): Promise<void>;
  /** Gives the connection up as a plain socket: nothing has been said on it that was not answered. */
  release(): Socket;
  close(): void;
}

/** How long a holder may take to say who it is, in milliseconds. One that is being stopped never does. */
const helloMs = 5000;

/** Says hello to whoever listens at `path`. Undefined where nobody does, or where it ended before it answered. */
export async function askHolder(path: string): Promise<Holder | undefined> {
  const rpc = await openRpc(path);
  if (rpc === undefined) return undefined;
  const { connection, socket } = rpc;
  const closed = once(socket, 'close').catch(() => undefined);
  connection.listen();
  const late = setTimeout(() => socket.destroy(), helloMs);
  try {
    const askToDrain = async (): Promise<void> => {
      // It may end before it answers: then there is nothing left to ask for.
      await Promise.race([connection.sendRequest(DrainRequest.type).catch(() => undefined), closed]);
    };
    const asked = connection.sendRequest(HelloRequest.type, { wireVersion, build: thisBuild() });
    const hello = await Promise.race([asked, closed.then(() => undefined)]);
    if (hello === undefined) return undefined;
    return {
      hello,
      drain: async () => {
        await askToDrain();
        await closed;
      },
      hasten: askToDrain,
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
