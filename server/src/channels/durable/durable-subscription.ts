import { Subscription, type SubscriptionOptions } from '../subscription.js';
import type { Journal } from './journal.js';

/** Entries that wait in the outbox at most: the rest lies in the journal. */
const mostWaiting = 16;

/**
 * A subscription of a durable channel. It draws from the journal as fast as its client acknowledges, so that who is slow
 * falls behind and is never shed; who was away begins where it left off. It ends only where what it has not seen yet is
 * dropped from the journal.
 */
export class DurableSubscription extends Subscription {
  readonly #journal: Journal;
  #cursor: number;
  /** Reading older messages, or moving messages right now: handing one over may make room for the next. */
  #busy = false;

  /** @param from position of the first message that is wanted; undefined: the next one */
  constructor(options: SubscriptionOptions, journal: Journal, from: number | undefined) {
    super(options);
    this.#journal = journal;
    this.#cursor = Math.max(from ?? journal.next, journal.oldest);
  }

  /** There is a message more in the journal. */
  override deliver(): boolean {
    this.advance();
    return !this.lane.isClosed;
  }

  /** Moves messages from the journal to the outbox while there is room. */
  advance(): void {
    while (!this.#busy && this.#room > 0 && this.#cursor < this.#journal.next) {
      if (this.#cursor < this.#journal.oldest) {
        this.lane.shed();
        return;
      }
      const recent = this.#journal.recent(this.#cursor, this.#room);
      if (recent === undefined) {
        void this.#readOlder();
        return;
      }
      this.#push(recent);
    }
  }

  get #room(): number {
    return this.lane.isClosed ? 0 : mostWaiting - this.lane.waiting;
  }

  async #readOlder(): Promise<void> {
    this.#busy = true;
    const from = this.#cursor;
    const found = await this.#journal.read(from, this.#room).catch(() => []);
    this.#busy = false;
    if (this.lane.isClosed) return;
    if (found[0]?.position !== from) {
      // Dropped meanwhile, or no longer readable: a gap is never passed over in silence.
      this.lane.shed();
      return;
    }
    this.#push(found);
    this.advance();
  }

  #push(
    messages: readonly { readonly json: string; readonly bytes: number; readonly position?: number }[],
  ): void {
    this.#busy = true;
    for (const message of messages) {
      if (!super.deliver(message)) break;
      this.#cursor += 1;
    }
    this.#busy = false;
  }
}
