import type { Party } from './conversations.js';
import type { Listener, Message } from './hub.js';
import type { Entry, Lane } from './outbox.js';

/** What frames around a body add to its bytes, at most. */
const frameBytes = 96;

export interface SubscriptionOptions {
  /** Unique in the daemon. */
  readonly id: number;
  /** Of the request that asked for it: echoed on each event. */
  readonly requestId: string;
  readonly channel: string;
  readonly connection: number;
  /** With whom conversations may be begun; undefined: with nobody. */
  readonly party: Party | undefined;
  readonly lane: Lane;
}

/** One connection's wish to hear of one channel. */
export class Subscription implements Listener {
  readonly id: number;
  readonly requestId: string;
  readonly channel: string;
  readonly connection: number;
  readonly party: Party | undefined;
  readonly lane: Lane;
  readonly #head: string;
  readonly #headBytes: number;

  constructor(options: SubscriptionOptions) {
    this.id = options.id;
    this.requestId = options.requestId;
    this.channel = options.channel;
    this.connection = options.connection;
    this.party = options.party;
    this.lane = options.lane;
    // Written once for all its events: a busy channel has many thousands a second.
    this.#head = `{"type":"event","id":${JSON.stringify(this.requestId)},"subscription":${String(this.id)},"seq":`;
    this.#headBytes = Buffer.byteLength(this.#head) + frameBytes;
  }

  deliver(message: Message): boolean {
    return this.lane.push(this.#entry(message));
  }

  #entry({ json, bytes, position }: Message): Entry {
    const middle = position === undefined ? ',"body":' : `,"position":${String(position)},"body":`;
    return {
      bytes: bytes + this.#headBytes,
      render: (seq) => `${this.#head}${String(seq)}${middle}${json}}\n`,
    };
  }
}
