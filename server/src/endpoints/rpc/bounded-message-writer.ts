import { Buffer } from 'node:buffer';
import type { Writable } from 'node:stream';
import { HearthError } from '@hearth/protocol';
import { Message } from 'vscode-jsonrpc';
import { AbstractMessageWriter } from 'vscode-jsonrpc/node';
import { BoundedWriter } from '../../connections/bounded-writer.js';

export interface BoundedMessageWriterOptions {
  /** How long a message may wait for its reader, in milliseconds; 0: for ever. @default that of `BoundedWriter` */
  readonly writeTimeoutMs?: number | undefined;
  /** Called when the answer to the request `id` is written, or never will be. */
  readonly onAnswered: (id: string | number) => void;
}

/** Above what a connection writes at once: two messages for each request that it holds, and its notifications. */
const maxWaiting = 512;

/**
 * Writes `Content-Length` framed JSON-RPC at the pace of its reader. A message that waited too long is an error
 * `slow_consumer`, to its writer and to `onError`: the output is destroyed by then.
 */
export class BoundedMessageWriter extends AbstractMessageWriter {
  readonly #output: Writable;
  readonly #writer: BoundedWriter;
  readonly #onAnswered: (id: string | number) => void;

  constructor(output: Writable, { writeTimeoutMs, onAnswered }: BoundedMessageWriterOptions) {
    super();
    this.#output = output;
    this.#onAnswered = onAnswered;
    this.#writer = new BoundedWriter(output, {
      maxWaiting,
      ...(writeTimeoutMs === undefined ? {} : { writeTimeoutMs }),
    });
    output.on('error', (error) => this.fireError(error)).on('close', () => this.fireClose());
  }

  async write(message: Message): Promise<void> {
    try {
      const body = JSON.stringify(message);
      await this.#writer.write(`Content-Length: ${String(Buffer.byteLength(body))}\r\n\r\n${body}`);
    } catch (error) {
      if (error instanceof HearthError && error.code === 'slow_consumer') this.fireError(error);
      throw error;
    } finally {
      if (Message.isResponse(message) && message.id !== null) this.#onAnswered(message.id);
    }
  }

  end(): void {
    this.#output.end();
  }
}
