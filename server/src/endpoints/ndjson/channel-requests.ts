import type { Socket } from 'node:net';
import type { ChannelRequest } from '@hearth/protocol';
import type { ChannelSession, Channels } from '../../channels/channels-port.js';
import type { BoundedWriter } from '../../connections/bounded-writer.js';

export interface ChannelRequestsOptions {
  readonly channels: Channels;
  readonly socket: Socket;
  readonly writer: BoundedWriter;
  /** The peer did not read in time; the connection is gone. */
  readonly onWriteFailed: (error: unknown) => void;
}

/** What one connection of the inference protocol has to do with channels. A session begins with its first request. */
export class ChannelRequests {
  readonly #options: ChannelRequestsOptions;
  #session: ChannelSession | undefined;

  constructor(options: ChannelRequestsOptions) {
    this.#options = options;
  }

  async take(request: ChannelRequest): Promise<void> {
    this.#session ??= this.#open();
    await this.#session.take(request);
  }

  /** Whether an answer is awaited on behalf of this connection. */
  get isWaiting(): boolean {
    return this.#session?.isWaiting === true;
  }

  /** Resolves when no answer is awaited any more. */
  async settled(): Promise<void> {
    await this.#session?.settled();
  }

  /** A client that never spoke of channels knows version 1 only, which has no word for it. */
  async farewell(reason: 'draining' | 'closing'): Promise<void> {
    await this.#session?.farewell(reason);
  }

  close(): void {
    this.#session?.close();
  }

  #open(): ChannelSession {
    const { channels, socket, writer, onWriteFailed } = this.#options;
    return channels.open({
      write: async (text) => {
        try {
          await writer.write(text);
        } catch (error) {
          onWriteFailed(error);
          throw error;
        }
      },
      close: () => socket.destroy(),
    });
  }
}
