/**
 * A queue with one producer and one consumer. The producer waits while it is full, which is how the pace of the
 * consumer reaches the wire.
 */
export class BoundedQueue<T> {
  readonly #capacity: number;
  readonly #items: T[] = [];
  #failure: { readonly error: unknown } | undefined;
  #wakeConsumer: (() => void) | undefined;
  #wakeProducer: (() => void) | undefined;

  /** @param capacity Most items that wait at once; at least 1. */
  constructor(capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError(`The capacity of a queue must be an integer of at least 1, not ${capacity}.`);
    }
    this.#capacity = capacity;
  }

  /** Items that wait. */
  get size(): number {
    return this.#items.length;
  }

  /** Adds `item`, then waits until there is room for another. After {@link fail}, drops it. */
  async push(item: T): Promise<void> {
    if (this.#failure !== undefined) return;
    this.#items.push(item);
    this.#wakeConsumer?.();
    // Ends at a failure too: it closes the queue while this waits.
    while (this.#isFull()) {
      await new Promise<void>((resolve) => (this.#wakeProducer = resolve));
    }
  }

  #isFull(): boolean {
    return this.#failure === undefined && this.#items.length >= this.#capacity;
  }

  /** The next item, in order. @throws what {@link fail} was given, once no item is left. */
  async next(): Promise<T> {
    for (;;) {
      if (this.#items.length > 0) {
        this.#wakeProducer?.();
        return this.#items.shift() as T;
      }
      if (this.#failure !== undefined) throw this.#failure.error;
      await new Promise<void>((resolve) => (this.#wakeConsumer = resolve));
    }
  }

  /** Nothing more will come. Items that wait are still given out, unless `drop` says otherwise. */
  fail(error: unknown, options: { readonly drop: boolean } = { drop: false }): void {
    if (options.drop) this.#items.length = 0;
    this.#failure ??= { error };
    this.#wakeConsumer?.();
    this.#wakeProducer?.();
  }
}
