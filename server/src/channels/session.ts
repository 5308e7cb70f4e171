import { randomUUID } from 'node:crypto';
import {
  type ChannelFrame,
  type ChannelRequest,
  encodeFrame,
  HearthError,
  limits as wireLimits,
  toFullErrorFrame,
  toHearthError,
} from '@hearth/protocol';
import type { PendingReply, ReplyTable } from '../connections/replies.js';
import type { AskDesk, Askable } from './asks.js';
import type { ChannelPeer, ChannelSession } from './channels-port.js';
import type { Conversations, Party } from './conversations.js';
import type { DurableChannels } from './durable/durable-channels.js';
import { DurableSubscription } from './durable/durable-subscription.js';
import { checkChannel, checkOwnChannel, type ChannelHub, type Message } from './hub.js';
import type { IdempotencyWindow } from './idempotency.js';
import { type Entry, type Lane, type LaneOptions, Outbox, type OutboxOptions } from './outbox.js';
import { Subscription } from './subscription.js';

/** What all sessions of a daemon share. */
export interface SessionParts {
  readonly hub: ChannelHub;
  readonly durable: DurableChannels;
  readonly replies: ReplyTable;
  readonly asks: AskDesk;
  readonly conversations: Conversations;
  readonly published: IdempotencyWindow<Published>;
  readonly outbox: Pick<OutboxOptions, 'limits' | 'shared'>;
  readonly limits: { readonly subscriptions: number; readonly pending: number };
  /** The next number of a subscription. */
  readonly nextSubscription: () => number;
  /** A subscription was shed. */
  readonly onShed: () => void;
}

/** What became of a message. */
export interface Published {
  readonly messageId: string;
  readonly delivered: number;
  readonly position: number | undefined;
}

type Of<Type extends ChannelRequest['type']> = Extract<ChannelRequest, { type: Type }>;

/** What one connection has to do with channels: the requests that it makes, and what it holds. */
export class Session implements ChannelSession, Askable, Party {
  readonly connection: number;
  readonly #parts: SessionParts;
  readonly #peer: ChannelPeer;
  readonly #outbox: Outbox;
  readonly #subscriptions = new Map<number, Subscription>();
  readonly #gone = new AbortController();
  /** What this connection waits for: answers of others, and messages that are being written. */
  readonly #awaited = new Set<Promise<void>>();
  #questions: Lane | undefined;
  #closed = false;

  /** @param connection its number among all that speak of channels */
  constructor(connection: number, peer: ChannelPeer, parts: SessionParts) {
    this.connection = connection;
    this.#peer = peer;
    this.#parts = parts;
    this.#outbox = new Outbox({ ...parts.outbox, write: peer.write, onOversized: peer.close });
  }

  async take(request: ChannelRequest): Promise<void> {
    try {
      await this.#carryOut(request);
    } catch (error) {
      await this.#fail(request.id, toHearthError(error));
    }
  }

  get isWaiting(): boolean {
    return this.#awaited.size > 0;
  }

  async settled(): Promise<void> {
    while (this.#awaited.size > 0) await Promise.all(this.#awaited);
  }

  async farewell(reason: 'draining' | 'closing'): Promise<void> {
    await this.#send({ type: 'disconnect', id: '', reason });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const { asks, replies, conversations } = this.#parts;
    for (const { id } of [...this.#subscriptions.values()]) this.#drop(id);
    this.#outbox.close();
    asks.forget(this.connection);
    replies.disconnect(this.connection);
    conversations.disconnect(this.connection);
    // Nobody is left who would read the answers.
    this.#gone.abort(new HearthError('cancelled', 'The connection was closed.'));
  }

  push(entry: Entry): boolean {
    if (this.#closed) return false;
    if (this.#questions?.isClosed !== false) this.#questions = this.lane(() => undefined);
    return this.#questions.push(entry);
  }

  lane(onShed: LaneOptions['onShed']): Lane {
    return this.#outbox.open({ maxInFlight: Infinity, latestOnly: false, onShed });
  }

  async #carryOut(request: ChannelRequest): Promise<void> {
    switch (request.type) {
      case 'subscribe':
        return this.#subscribe(request);
      case 'ack':
        this.#acknowledge(request);
        return;
      case 'unsubscribe': {
        const { id, subscription } = request;
        return this.#send({ type: 'unsubscribed', id, subscription, found: this.#drop(subscription) });
      }
      case 'publish':
        return this.#publish(request);
      case 'handle':
        this.#parts.asks.offer(this, request.kinds);
        return this.#send({ type: 'handling', id: request.id, kinds: [...new Set(request.kinds)] });
      case 'ask': {
        const { id, kind, question, timeout_ms: timeoutMs } = request;
        this.#checkAwaited();
        const asker = this.connection;
        this.#answerWith(
          id,
          this.#parts.asks.ask(kind, question, { timeoutMs, asker, signal: this.#gone.signal }),
        );
        return;
      }
      case 'reply':
        this.#parts.replies.resolve(this.connection, request.correlation, request.body);
        return;
      case 'converse':
        return this.#converse(request);
      case 'say':
        return this.#say(request);
      case 'end': {
        const { id, conversation } = request;
        this.#parts.conversations.end(conversation, this.connection);
        return this.#send({ type: 'conversation', id, conversation, state: 'ended', reason: 'ended' });
      }
    }
  }

  async #subscribe(request: Of<'subscribe'>): Promise<void> {
    const { channel, id: requestId, answers, from_position: from } = request;
    const { hub, durable, limits, nextSubscription } = this.#parts;
    checkChannel(channel);
    const log = durable.find(channel);
    if (log === undefined && from !== undefined) {
      throw new HearthError('invalid_request', 'from_position: this channel is not durable; leave it out');
    }
    if (this.#subscriptions.size >= limits.subscriptions) {
      const text = `limits.subscriptions: a connection has ${String(limits.subscriptions)} at most; end one first`;
      throw new HearthError('limit_exceeded', text);
    }
    const id = nextSubscription();
    const lane = this.#outbox.open({
      maxInFlight: request.max_in_flight,
      latestOnly: hub.isLatestOnly(channel),
      onShed: (error) => {
        this.#shed(id, error);
      },
      onRoom: () => {
        if (subscription instanceof DurableSubscription) subscription.advance();
      },
    });
    const party = answers ? this : undefined;
    const options = { id, requestId, channel, connection: this.connection, party, lane };
    const subscription =
      log === undefined ? new Subscription(options) : new DurableSubscription(options, log, from);
    this.#subscriptions.set(id, subscription);
    // What follows is written after this: the socket keeps the order.
    const told = this.#send({
      type: 'subscribed',
      id: requestId,
      subscription: id,
      channel,
      ...(log === undefined ? {} : { next_position: log.next, oldest_position: log.oldest }),
    });
    hub.add(channel, subscription);
    if (subscription instanceof DurableSubscription) subscription.advance();
    await told;
  }

  #acknowledge({ subscription: id, seq }: Of<'ack'>): void {
    const subscription = this.#subscriptions.get(id);
    if (subscription === undefined) throw noSubscription();
    if (subscription.lane.acknowledge(seq)) return;
    throw new HearthError('invalid_request', 'seq: no event with this number was sent yet');
  }

  async #publish(request: Of<'publish'>): Promise<void> {
    const { id, channel, body, idempotency_key: key } = request;
    checkOwnChannel(channel);
    const json = JSON.stringify(body);
    const bytes = Buffer.byteLength(json);
    if (bytes > wireLimits.channelBodyBytes) {
      const text = `body: it has ${String(bytes)} bytes, and ${String(wireLimits.channelBodyBytes)} are the most`;
      throw new HearthError('frame_too_large', text);
    }
    const log = this.#parts.durable.find(channel);
    if (log === undefined && key === undefined) {
      await this.#tellPublished(id, channel, this.#handOut(channel, { json, bytes }, randomUUID()), false);
      return;
    }
    // Written to the disk meanwhile: other requests of this connection need not wait for it.
    this.#checkAwaited();
    const messageId = randomUUID();
    const work = async (): Promise<Published> => {
      const message = log === undefined ? { json, bytes } : await log.append({ json, bytes }, messageId, key);
      return this.#handOut(channel, message, messageId);
    };
    this.#await(id, async () => {
      if (key === undefined) return this.#tellPublished(id, channel, await work(), false);
      const { result, duplicate } = await this.#parts.published.once(channel, key, json, work);
      return this.#tellPublished(id, channel, result, duplicate);
    });
  }

  #handOut(channel: string, message: Message, messageId: string): Published {
    const delivered = this.#parts.hub.publish(channel, message);
    return { messageId, delivered, position: message.position };
  }

  async #tellPublished(id: string, channel: string, published: Published, duplicate: boolean): Promise<void> {
    const { messageId, delivered, position } = published;
    await this.#send({
      type: 'published',
      id,
      channel,
      message_id: messageId,
      delivered,
      duplicate,
      ...(position === undefined ? {} : { position }),
    });
  }

  async #converse({ id, conversation, channel }: Of<'converse'>): Promise<void> {
    const { hub, conversations } = this.#parts;
    checkOwnChannel(channel);
    const other = hub.findAnswering(channel, this.connection);
    if (other === undefined) {
      throw new HearthError(
        'not_found',
        'channel: nobody else here takes conversations on it (answers: true)',
      );
    }
    conversations.open(conversation, channel, this, other);
    await this.#send({ type: 'conversation', id, conversation, state: 'opened', channel });
  }

  async #say(request: Of<'say'>): Promise<void> {
    const { id, conversation, body, reply, timeout_ms: timeoutMs } = request;
    const { conversations } = this.#parts;
    if (!reply) {
      conversations.say(conversation, this.connection, body);
      return this.#send({ type: 'said', id, conversation });
    }
    this.#checkAwaited();
    this.#answerWith(id, conversations.request(conversation, this.connection, body, timeoutMs));
    return undefined;
  }

  /** @throws HearthError `limit_exceeded` where this connection waits for as much as it may. */
  #checkAwaited(): void {
    const { pending } = this.#parts.limits;
    if (this.#awaited.size < pending) return;
    const text = `limits.pending: a connection waits for ${String(pending)} answers at most; wait for one of them`;
    throw new HearthError('limit_exceeded', text);
  }

  #answerWith(id: string, pending: PendingReply): void {
    this.#await(id, async () => this.#send({ type: 'answer', id, body: await pending.answer }));
  }

  /** Does something that takes time beside the other requests of this connection. */
  #await(id: string, work: () => Promise<void>): void {
    const done = work()
      .catch(async (error: unknown) => this.#fail(id, toHearthError(error)))
      .finally(() => this.#awaited.delete(done));
    this.#awaited.add(done);
  }

  /** Ends a subscription. False where this connection has none of that number. */
  #drop(id: number): boolean {
    const subscription = this.#subscriptions.get(id);
    if (subscription === undefined) return false;
    this.#subscriptions.delete(id);
    this.#parts.hub.remove(subscription.channel, subscription);
    subscription.lane.close();
    return true;
  }

  #shed(id: number, error: HearthError): void {
    const subscription = this.#subscriptions.get(id);
    if (subscription === undefined) return;
    this.#drop(id);
    this.#parts.onShed();
    void this.#fail(subscription.requestId, error, id);
  }

  async #fail(id: string, error: HearthError, subscription?: number): Promise<void> {
    const frame = toFullErrorFrame(id, error);
    await this.#send(subscription === undefined ? frame : { ...frame, subscription });
  }

  async #send(frame: ChannelFrame | ReturnType<typeof toFullErrorFrame>): Promise<void> {
    if (this.#closed) return;
    // A connection that is gone is told of by its close.
    await this.#peer.write(encodeFrame(frame)).catch(() => undefined);
  }
}

function noSubscription(): HearthError {
  return new HearthError('not_found', 'subscription: this connection has no subscription of this number');
}
