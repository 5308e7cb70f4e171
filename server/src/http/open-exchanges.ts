import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/**
 * The requests of each connection whose answers are to come. HTTP lets a client send on without reading, and Node begins
 * whatever has come and keeps the answers that wait for those before them.
 */
export class OpenExchanges {
  readonly #most: number;
  readonly #bySocket = new WeakMap<Socket, Set<ServerResponse>>();

  /** @param most answers that may be to come over one connection */
  constructor(most: number) {
    this.#most = most;
  }

  /** False: there are too many. Every response that was added says `close` when it is over, in whatever way. */
  add(socket: Socket, response: ServerResponse): boolean {
    const open = this.#bySocket.get(socket) ?? this.#follow(socket);
    if (open.size >= this.#most) return false;
    open.add(response);
    response.once('close', () => open.delete(response));
    return true;
  }

  /** Whether an answer is on its way over this connection. */
  hasBegun(socket: Socket): boolean {
    return [...(this.#bySocket.get(socket) ?? [])].some(
      // One that waits for those before it has no socket yet.
      ({ headersSent, socket: writes }) => headersSent && writes !== null,
    );
  }

  #follow(socket: Socket): Set<ServerResponse> {
    const open = new Set<ServerResponse>();
    this.#bySocket.set(socket, open);
    socket.once('close', () => {
      // Node tells only the answer whose turn it was.
      for (const response of open) {
        if (response.socket !== null) continue;
        response.destroy();
        response.emit('close');
      }
    });
    return open;
  }
}
