import type { ServerResponse } from 'node:http';
import type { Exchange } from './exchange.js';

/** How long a client may hear nothing, in milliseconds: proxies and clients give up on silence. */
const silenceMs = 10_000;

export interface PacedOptions {
  readonly contentType: string;
  /** What is written into a silence; empty: nothing, and the head alone is sent. */
  readonly heartbeat: string;
}

/**
 * An answer that goes out in pieces, at the pace of whoever reads it. Until the first piece the status is open, so that
 * an error has its own; after ten seconds without a piece the head goes out all the same, and then heartbeats.
 */
export class PacedResponse {
  readonly #response: ServerResponse;
  readonly #options: PacedOptions;
  readonly #writeTimeoutMs: number;
  readonly #signal: AbortSignal;
  readonly #heart: NodeJS.Timeout;

  constructor({ response, settings, signal }: Exchange, options: PacedOptions) {
    this.#response = response;
    this.#options = options;
    this.#writeTimeoutMs = settings.writeTimeoutMs;
    this.#signal = signal;
    this.#heart = setInterval(() => this.#beat(), silenceMs).unref();
  }

  /** Whether the status is out, and an error has to be told within the stream. */
  get hasBegun(): boolean {
    return this.#response.headersSent;
  }

  /** Writes one piece. Resolves when the next may come: at once, or when a slow reader has read, or has gone. */
  write(text: string): Promise<void> | undefined {
    if (this.#signal.aborted) return undefined;
    this.#heart.refresh();
    this.#begin();
    return this.#response.write(text) ? undefined : this.#drained();
  }

  /** The end of the answer. */
  end(text = ''): void {
    clearInterval(this.#heart);
    if (this.#signal.aborted) return;
    this.#begin();
    this.#response.end(text);
  }

  /** No more pieces, whatever was written. */
  stop(): void {
    clearInterval(this.#heart);
  }

  #begin(): void {
    if (this.#response.headersSent) return;
    this.#response.writeHead(200, {
      'Content-Type': this.#options.contentType,
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      // Reverse proxies would hold pieces back.
      'X-Accel-Buffering': 'no',
    });
  }

  #beat(): void {
    if (this.#signal.aborted || this.#response.writableNeedDrain) return;
    this.#begin();
    if (this.#options.heartbeat === '') this.#response.flushHeaders();
    else this.#response.write(this.#options.heartbeat);
  }

  /** Waits until the reader has caught up. One that takes nothing for too long is cut off, which ends its work. */
  async #drained(): Promise<void> {
    const response = this.#response;
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        clearTimeout(late);
        response.off('drain', settle).off('close', settle);
        resolve();
      };
      const late =
        this.#writeTimeoutMs === 0
          ? undefined
          : setTimeout(() => response.destroy(), this.#writeTimeoutMs).unref();
      response.on('drain', settle).on('close', settle);
    });
  }
}
