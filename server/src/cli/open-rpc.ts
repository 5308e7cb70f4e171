import type { Socket } from 'node:net';
import { dial } from '@hearth/protocol/node';
import {
  createMessageConnection,
  type MessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from 'vscode-jsonrpc/node';

/** A connection to a daemon's rpc socket. The caller adds its handlers, then listens. */
export interface RpcClient {
  readonly connection: MessageConnection;
  readonly socket: Socket;
  readonly close: () => void;
}

/** How long a daemon may say nothing before a command that only looks takes it for stuck, in milliseconds. */
export const silenceMs = 5000;

/** What a command that only looks says of a daemon that does not answer. */
export const silentText = 'the daemon that runs here does not answer: end its process, or wait';

/** Connects to the rpc socket at `path`. Undefined where nobody listens. */
export async function openRpc(path: string): Promise<RpcClient | undefined> {
  const socket = await open(path);
  if (socket === undefined) return undefined;
  const connection = createMessageConnection(
    new StreamMessageReader(socket),
    new StreamMessageWriter(socket),
  );
  return {
    connection,
    socket,
    close: () => {
      connection.dispose();
      socket.destroy();
    },
  };
}

async function open(path: string): Promise<Socket | undefined> {
  const socket = await dial({ path }, { timeoutMs: 0 }).catch(() => undefined);
  // 'close' follows an error, and says all that there is to say.
  socket?.on('error', () => undefined);
  return socket;
}
