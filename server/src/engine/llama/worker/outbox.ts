/**
 * What goes through a channel between processes. What one turn of the event loop brings about goes as one message: each
 * message costs a system call and a turn at both ends. In the worker it goes once the next step has begun, where another thread
 * computes that, since until then the cores have nothing to do, and otherwise before it. Bounded by what one turn can bring about: a chunk, a credit or an answer for each
 * request.
 */
export class Outbox<Message> {
  readonly #send: (message: Message | Together<Message>) => void;
  readonly #soon: (work: () => void) => void;
  #messages: Message[] = [];

  /** @param soon runs `work` after what is to be done in this turn. Default: `setImmediate`. */
  constructor(
    send: (message: Message | Together<Message>) => void,
    soon: (work: () => void) => void = setImmediate,
  ) {
    this.#send = send;
    this.#soon = soon;
  }

  put(message: Message): void {
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

/** Several messages as one, in their order. */
export interface Together<Message> {
  readonly kind: 'together';
  readonly messages: readonly Message[];
}

/** The messages in one that came; what `isMessage` does not know is left out. */
export function* separate<Message>(
  received: unknown,
  isMessage: (value: unknown) => value is Message,
): Generator<Message, void, void> {
  if (isMessage(received)) yield received;
  else if (isTogether(received)) yield* received.messages.filter(isMessage);
}

function isTogether(value: unknown): value is Together<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    'kind' in value &&
    value.kind === 'together' &&
    'messages' in value &&
    Array.isArray(value.messages)
  );
}
