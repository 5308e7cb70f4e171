import type { FromWorker } from './messages.js';

/**
 * What goes to the daemon. What a step has brought about goes as one message, once the next step has begun: each
 * message costs a system call and a turn of the event loop at both ends, and until the next step begins the cores
 * have nothing to do. Bounded by what one turn of the event loop can bring about: a chunk for each sequence, and an
 * answer for each question.
 */
export class Outbox {
  readonly #send: (message: FromWorker) => void;
  readonly #soon: (work: () => void) => void;
  #messages: FromWorker[] = [];

  /** @param soon runs `work` after what is to be done in this turn. Default: `setImmediate`. */
  constructor(send: (message: FromWorker) => void, soon: (work: () => void) => void = setImmediate) {
    this.#send = send;
    this.#soon = soon;
  }

  put(message: FromWorker): void {
    this.#messages.push(message);
    if (this.#messages.length > 1) return;
    this.#soon(() => {
      this.flush();
    });
  }

  /** Sends what waits, now. */
  flush(): void {
    const messages = this.#messages;
    this.#messages = [];
    const [only] = messages;
    if (only === undefined) return;
    this.#send(messages.length === 1 ? only : { kind: 'together', messages });
  }
}
