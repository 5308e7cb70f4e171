import { encodeFrame, HearthError } from '@hearth/protocol';
import type { PendingReply, ReplyTable } from '../connections/replies.js';
import { owesTooMuch } from './asks.js';
import type { Entry, Lane, LaneOptions } from './outbox.js';

/** One of the two sides of a conversation. */
export interface Party {
  readonly connection: number;
  /** A way to this side that is shed by itself. */
  lane(onShed: LaneOptions['onShed']): Lane;
}

/** Why a conversation is over. */
export type ConversationEnd = 'ended' | 'peer_disconnected' | 'slow_consumer';

export interface ConversationLimits {
  /** Conversations of one connection. */
  readonly conversations: number;
  /** Answers that one connection may owe. */
  readonly pending: number;
  /** Answers that are awaited within one conversation. */
  readonly pendingPerConversation: number;
}

interface Side {
  readonly party: Party;
  readonly lane: Lane;
}

interface Conversation {
  readonly id: string;
  readonly sides: readonly [Side, Side];
  /** Answers that are awaited within it. */
  readonly awaited: Set<number>;
}

/**
 * What two clients say to each other through the daemon, under a name that the one who began it chose. A conversation
 * ends when either side says so, goes away, or does not keep up; the other side is told, and nothing of it is left.
 */
export class Conversations {
  readonly #replies: ReplyTable;
  readonly #limits: ConversationLimits;
  readonly #live = new Map<string, Conversation>();

  constructor(replies: ReplyTable, limits: ConversationLimits) {
    this.#replies = replies;
    this.#limits = limits;
  }

  /** Conversations that are live. */
  get size(): number {
    return this.#live.size;
  }

  /**
   * Begins a conversation between `opener` and `other`, and offers it to the latter.
   *
   * @throws HearthError `conflict` where the name is in use, `limit_exceeded` where either side takes part in too many.
   */
  open(id: string, channel: string, opener: Party, other: Party): void {
    if (this.#live.has(id)) {
      throw new HearthError('conflict', 'conversation: this name is in use; choose another, such as a UUID');
    }
    for (const { connection } of [opener, other]) {
      if (this.#countOf(connection) < this.#limits.conversations) continue;
      const whose = connection === opener.connection ? 'you take' : 'the other side takes';
      const text = `limits.conversations: ${whose} part in ${String(this.#limits.conversations)} already`;
      throw new HearthError('limit_exceeded', text);
    }
    const side = (party: Party): Side => ({
      party,
      lane: party.lane(() => {
        this.#end(conversation, 'slow_consumer', undefined);
      }),
    });
    const conversation: Conversation = { id, sides: [side(opener), side(other)], awaited: new Set() };
    this.#live.set(id, conversation);
    conversation.sides[1].lane.push(
      entry({ type: 'conversation', id: '', conversation: id, state: 'offered', channel }),
    );
  }

  /** Says something without an answer. @throws HearthError `not_found`, `slow_consumer`. */
  say(id: string, from: number, body: unknown): void {
    const { other } = this.#find(id, from);
    const isTaken = other.lane.push(entry({ type: 'message', id: '', conversation: id, body }));
    if (!isTaken)
      throw new HearthError('slow_consumer', 'The other side did not keep up; the conversation is over.');
  }

  /**
   * Says something and awaits the answer.
   *
   * @throws HearthError `not_found`, and `limit_exceeded` before anything is sent where too many answers are awaited.
   */
  request(id: string, from: number, body: unknown, timeoutMs: number): PendingReply {
    const { conversation, other } = this.#find(id, from);
    const { pendingPerConversation, pending: mostOwed } = this.#limits;
    if (conversation.awaited.size >= pendingPerConversation) {
      const text = `limits.pending_per_conversation: ${String(pendingPerConversation)} answers are awaited in this conversation`;
      throw new HearthError('limit_exceeded', text);
    }
    if (this.#replies.pending(other.party.connection) >= mostOwed) throw owesTooMuch(mostOwed);
    const pending = this.#replies.open({
      connection: other.party.connection,
      timeoutMs,
      onEnd: () => conversation.awaited.delete(pending.correlation),
    });
    const { correlation } = pending;
    conversation.awaited.add(correlation);
    const isTaken = other.lane.push(entry({ type: 'message', id: '', conversation: id, body, correlation }));
    if (!isTaken) this.#replies.abandon(correlation);
    return pending;
  }

  /** Ends it; the other side is told. @throws HearthError `not_found`. */
  end(id: string, from: number): void {
    this.#end(this.#find(id, from).conversation, 'ended', from);
  }

  /** Ends all that this connection takes part in. */
  disconnect(connection: number): void {
    for (const conversation of [...this.#live.values()]) {
      if (conversation.sides.some(({ party }) => party.connection === connection))
        this.#end(conversation, 'peer_disconnected', connection);
    }
  }

  /** @param by who knows already; undefined: both sides are told */
  #end(conversation: Conversation, reason: ConversationEnd, by: number | undefined): void {
    const { id, sides, awaited } = conversation;
    if (!this.#live.delete(id)) return;
    for (const { party, lane } of sides) {
      if (party.connection === by) lane.close();
      else if (!lane.isClosed) lane.finish(entry(ended(id, reason)));
      else party.lane(() => undefined).finish(entry(ended(id, reason)));
    }
    for (const correlation of [...awaited]) this.#replies.abandon(correlation);
  }

  #find(id: string, from: number): { readonly conversation: Conversation; readonly other: Side } {
    const conversation = this.#live.get(id);
    const [first, second] = conversation?.sides ?? [];
    if (conversation !== undefined && first?.party.connection === from && second !== undefined)
      return { conversation, other: second };
    if (conversation !== undefined && second?.party.connection === from && first !== undefined)
      return { conversation, other: first };
    throw new HearthError('not_found', 'conversation: you take part in no conversation of this name');
  }

  #countOf(connection: number): number {
    let count = 0;
    for (const { sides } of this.#live.values())
      if (sides.some(({ party }) => party.connection === connection)) count += 1;
    return count;
  }
}

function ended(conversation: string, reason: ConversationEnd): object {
  return { type: 'conversation', id: '', conversation, state: 'ended', reason };
}

function entry(frame: object): Entry {
  const line = encodeFrame(frame);
  return { bytes: Buffer.byteLength(line), render: () => line };
}
