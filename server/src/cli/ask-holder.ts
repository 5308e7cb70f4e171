import { once } from 'node:events';
import type { Socket } from 'node:net';
import { DrainRequest, HelloRequest, wireVersion } from '@hearth/protocol';
import { NotReadyError } from '../router/ready-gate.js';
import { thisBuild } from '../version.js';
import { openRpc, silenceMs, silentText } from './open-rpc.js';

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

/**
 * Says hello to whoever listens at `path`. Undefined where nobody does, or where it ended before it answered.
 *
 * @throws NotReadyError where somebody does and says nothing.
 */
export async function askHolder(path: string): Promise<Holder | undefined> {
  const rpc = await openRpc(path);
  if (rpc === undefined) return undefined;
  const { connection, socket } = rpc;
  const closed = once(socket, 'close').catch(() => undefined);
  connection.listen();
  const silence = new AbortController();
  const late = setTimeout(() => {
    silence.abort();
    socket.destroy();
  }, silenceMs);
  try {
    const askToDrain = async (): Promise<void> => {
      // It may end before it answers: then there is nothing left to ask for.
      await Promise.race([connection.sendRequest(DrainRequest.type).catch(() => undefined), closed]);
    };
    const asked = connection.sendRequest(HelloRequest.type, { wireVersion, build: thisBuild() });
    const hello = await Promise.race([asked, closed.then(() => undefined)]);
    if (hello === undefined) throw new Error('it ended before it answered');
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
    if (!silence.signal.aborted) return undefined;
    throw new NotReadyError(silentText);
  } finally {
    clearTimeout(late);
  }
}
