import { connect, type Socket } from 'node:net';
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
