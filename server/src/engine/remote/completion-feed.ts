import type { AnswerSink } from '../../upstream/upstream.js';
import { UpstreamError } from '../../upstream/upstream-error.js';
import { EngineFailure } from '../engine.js';
import { type CompletionPiece, readPiece } from './completion-chunks.js';
import { EventReader } from './sse.js';

/** Pieces that wait for their reader, beyond which the service is not read. */
const mostWaiting = 256;
/** What may still come after the last piece, and for how long, so that the connection can be used again. */
const tailBytes = 65_536;
const tailMs = 1000;

/**
 * The answer to a completion request, from the network to whoever takes its pieces: they are read as they come, all of
 * one packet at once, and no stream stands in between.
 */
export class CompletionFeed implements AnswerSink {
  readonly #events = new EventReader();
  #pieces: CompletionPiece[] = [];
  /** `done`: nothing that still comes means anything. `over`: nothing comes any more. */
  #state: 'open' | 'done' | 'over' = 'open';
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  #resume: (() => void) | undefined;
  #tail = 0;
  #late: NodeJS.Timeout | undefined;
  /** Closes the connection. */
  #cancel: () => void = () => undefined;

  /** Begins. @param pass asks, and gives what cancels it */
  begin(pass: (sink: AnswerSink) => () => void): void {
    this.#cancel = pass(this);
  }

  /**
   * The next pieces, at least one; undefined at the end.
   *
   * @throws EngineFailure where the service says no, or what it says is no completion. @throws UpstreamError
   */
  async next(): Promise<readonly CompletionPiece[] | undefined> {
    while (this.#pieces.length === 0 && this.#state === 'open') {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const pieces = this.#pieces;
    if (pieces.length > 0) {
      this.#pieces = [];
      const resume = this.#resume;
      this.#resume = undefined;
      // More may come in this very call, and be too much again.
      resume?.();
      return pieces;
    }
    if (this.#failure !== undefined) throw this.#failure;
    return undefined;
  }

  /** Nobody takes any more. A connection that is about to be free may become so; any other is closed. */
  leave(): void {
    if (this.#state === 'over') return;
    if (this.#state === 'open') this.cancel();
    else this.#late = setTimeout(this.#cancel, tailMs).unref();
  }

  /** Ends it at once, whatever the network does; {@link next} throws from now on. */
  readonly cancel = (): void => {
    this.#finish(new UpstreamError('cancelled'));
    this.#pieces = [];
    this.#cancel();
  };

  head(status: number): void {
    if (status !== 200) this.#finish(statusFailure(status));
  }

  data(chunk: Buffer): boolean {
    if (this.#state !== 'open') {
      this.#tail += chunk.length;
      if (this.#tail > tailBytes) this.#cancel();
      return true;
    }
    try {
      this.#take(this.#events.push(chunk));
    } catch (error) {
      this.#finish(error instanceof Error ? error : new Error('unreadable', { cause: error }));
      this.#cancel();
    }
    return this.#pieces.length < mostWaiting;
  }

  whenReady(resume: () => void): void {
    this.#resume = resume;
  }

  end(): void {
    clearTimeout(this.#late);
    try {
      if (this.#state === 'open') this.#take(this.#events.end());
      this.#finish(undefined);
    } catch (error) {
      this.#finish(error instanceof Error ? error : new Error('unreadable', { cause: error }));
    }
    this.#state = 'over';
  }

  fail(error: Error): void {
    clearTimeout(this.#late);
    this.#finish(error);
    this.#state = 'over';
  }

  #take(events: readonly string[]): void {
    for (const data of events) {
      if (data === '[DONE]') {
        this.#finish(undefined);
        return;
      }
      this.#pieces.push(readPiece(data));
    }
    if (this.#pieces.length > 0) this.#tell();
  }

  /** The first reason counts. */
  #finish(failure: Error | undefined): void {
    if (this.#state !== 'open') return;
    this.#state = 'done';
    this.#failure = failure;
    this.#tell();
  }

  #tell(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

/** A status that is not 200, as an engine's failure. The body may quote the prompt, so it is not read. */
function statusFailure(status: number): EngineFailure {
  if (status === 401 || status === 403)
    return new EngineFailure('unavailable', `the remote service refuses the key (status ${status})`);
  if (status === 429)
    return new EngineFailure(
      'unavailable',
      'the remote service has too much to do (status 429); try again later',
    );
  if (status >= 400 && status < 500 && status !== 408)
    return new EngineFailure(
      'invalid_request',
      `the remote service does not take this request (status ${status})`,
    );
  return new EngineFailure('unavailable', `the remote service failed (status ${status})`);
}
