import { type AskQuestion, asks, type MetricsBody } from '@hearth/protocol';
import { ReplyTable } from '../connections/replies.js';
import { AskDesk } from './asks.js';
import type { ChannelPeer, Channels, ChannelSession } from './channels-port.js';
import { Conversations } from './conversations.js';
import { type DaemonView, daemonSources } from './daemon-channels.js';
import { type DurableChannels, noDurableChannels } from './durable/durable-channels.js';
import type { JournalRecovery } from './durable/journal.js';
import { ChannelHub } from './hub.js';
import { IdempotencyWindow } from './idempotency.js';
import { SharedBudget } from './outbox.js';
import { type Published, Session } from './session.js';

/** Bounds on what connections hold; see the configuration's `limits` for what each means. */
export interface ChannelLimits {
  readonly subscriptions: number;
  readonly conversations: number;
  readonly pending: number;
  readonly pending_per_conversation: number;
  readonly inbox_entries: number;
  readonly inbox_bytes: number;
  readonly total_inbox_bytes: number;
  readonly outbound_bytes: number;
}

export interface ChannelSystemOptions {
  readonly limits: ChannelLimits;
  readonly view: DaemonView;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Milliseconds since 1970: the clock of the journals. */
  readonly wallClock?: () => number;
}

/** Most records of the activity log that a new subscriber is told. */
const mostRecords = 200;

/** All that clients of a daemon hear of it and say to each other. */
export class ChannelSystem implements Channels {
  readonly #options: ChannelSystemOptions;
  readonly #hub: ChannelHub;
  readonly #replies = new ReplyTable();
  readonly #asks: AskDesk;
  readonly #conversations: Conversations;
  readonly #published: IdempotencyWindow<Published>;
  readonly #shared: SharedBudget;
  #durable: DurableChannels = noDurableChannels;
  #lastSession = 0;
  #lastSubscription = 0;
  #shed = 0;

  constructor(options: ChannelSystemOptions) {
    const { limits, view, now } = options;
    this.#options = options;
    this.#hub = new ChannelHub(
      daemonSources(view, Math.min(mostRecords, Math.ceil(limits.inbox_entries / 2))),
    );
    this.#asks = new AskDesk(this.#replies, limits.pending);
    this.#conversations = new Conversations(this.#replies, {
      conversations: limits.conversations,
      pending: limits.pending,
      pendingPerConversation: limits.pending_per_conversation,
    });
    this.#published = new IdempotencyWindow(now);
    this.#shared = new SharedBudget(limits.total_inbox_bytes);
  }

  /** From now on these channels are durable. */
  useDurable(durable: DurableChannels): void {
    this.#durable = durable;
  }

  /** Takes over the idempotency keys of an earlier process. */
  restoreKeys(channel: string, { messages }: JournalRecovery): void {
    const { now, wallClock = Date.now } = this.#options;
    const toOurs = now() - wallClock();
    for (const { key, id, at, position, body } of messages) {
      if (key === undefined) continue;
      const published: Published = { messageId: id, delivered: 0, position };
      this.#published.restore(channel, key, JSON.stringify(body), at + toOurs, published);
    }
  }

  /** Subscriptions that there are, and that were shed since the start. */
  get counts(): Pick<MetricsBody, 'subscriptions' | 'shed'> {
    return { subscriptions: this.#hub.size, shed: this.#shed };
  }

  open(peer: ChannelPeer): ChannelSession {
    const { limits } = this.#options;
    this.#lastSession += 1;
    return new Session(this.#lastSession, peer, {
      hub: this.#hub,
      durable: this.#durable,
      replies: this.#replies,
      asks: this.#asks,
      conversations: this.#conversations,
      published: this.#published,
      outbox: {
        limits: {
          entries: limits.inbox_entries,
          bytes: limits.inbox_bytes,
          outboundBytes: limits.outbound_bytes,
        },
        shared: this.#shared,
      },
      limits: { subscriptions: limits.subscriptions, pending: limits.pending },
      nextSubscription: () => {
        this.#lastSubscription += 1;
        return this.#lastSubscription;
      },
      onShed: () => {
        this.#shed += 1;
      },
    });
  }

  /**
   * The daemon asks a client whether a model may be fetched.
   *
   * @throws as {@link AskDesk.ask} and PendingReply.answer do.
   */
  async confirmDownload(
    question: AskQuestion<'confirm_download'>,
    options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
  ): Promise<boolean> {
    const answer = await this.#asks.ask('confirm_download', question, options).answer;
    return asks.confirm_download.answer.parse(answer).approved;
  }

  /** Brings durable channels to the disk. @throws ShutdownFlushError */
  async close(): Promise<void> {
    await this.#durable.close();
  }
}
