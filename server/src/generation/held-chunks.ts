import type { EngineChunk } from '../engine/engine.js';

/**
 * An engine's chunks, which a consumer takes at his own pace. While he holds one, the generator that gave it to him
 * is suspended and hears nothing; so an abort in that time ends the engine's work from here, and says when it has
 * ended. A reader that has stalled thus keeps no slot once somebody has cancelled his request.
 */
export class HeldChunks {
  readonly #chunks: AsyncIterator<EngineChunk>;
  readonly #signal: AbortSignal;
  readonly #onStopped: () => void;
  #isHeld = false;
  #stopping: Promise<void> | undefined;

  /** @param onStopped called once, when an abort in mid-hold has ended the engine's work. */
  constructor(chunks: AsyncIterable<EngineChunk>, signal: AbortSignal, onStopped: () => void) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#signal = signal;
    this.#onStopped = onStopped;
    signal.addEventListener('abort', this.#onAbort);
  }

  /** Whether an abort ended the work while the consumer held a chunk: the engine's own `done` never came. */
  get wasStopped(): boolean {
    return this.#isHeld && this.#stopping !== undefined;
  }

  /** The next chunk; undefined at the end. Taking it ends the hold of the last one. */
  async next(): Promise<EngineChunk | undefined> {
    if (this.wasStopped) return undefined;
    this.#isHeld = false;
    const next = await this.#chunks.next();
    return next.done === true ? undefined : next.value;
  }

  /** Gives `event` to the consumer: from now until {@link next} he holds it. */
  hold<Event>(event: Event): Event {
    this.#isHeld = true;
    if (this.#signal.aborted) this.#onAbort();
    return event;
  }

  /** Ends the engine's work, if it has not ended. */
  async stop(): Promise<void> {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#stopping ??= this.#end();
    await this.#stopping;
  }

  readonly #onAbort = (): void => {
    if (!this.#isHeld) return;
    this.#stopping ??= this.#end();
    void this.#stopping.then(this.#onStopped);
  };

  async #end(): Promise<void> {
    await this.#chunks.return?.();
  }
}
