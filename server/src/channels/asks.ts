import { type AskKind, asks, describeIssues, encodeFrame, HearthError } from '@hearth/protocol';
import type { PendingReply, ReplyTable } from '../connections/replies.js';
import type { Entry } from './outbox.js';

/** A connection that may be asked something. */
export interface Askable {
  readonly connection: number;
  /** Hands it a question; false where it is gone, or too much waits for it. */
  push(entry: Entry): boolean;
}

export interface AskOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** The connection that asks, which is never asked itself; undefined: the daemon. */
  readonly asker?: number;
}

/**
 * Who answers which questions. A question goes to one client, once: to the one that owes least, among equals to the one
 * that offered last. Where it goes away the asker hears of it at once, and decides himself whether to ask again.
 */
export class AskDesk {
  readonly #replies: ReplyTable;
  readonly #mostOwed: number;
  readonly #handlers = new Map<AskKind, Map<number, Askable>>();

  /** @param mostOwed answers that one connection may owe at once */
  constructor(replies: ReplyTable, mostOwed: number) {
    this.#replies = replies;
    this.#mostOwed = mostOwed;
  }

  /** From now on this client answers these kinds of questions and no others. */
  offer(client: Askable, kinds: readonly AskKind[]): void {
    this.forget(client.connection);
    for (const kind of kinds) {
      const handlers = this.#handlers.get(kind) ?? new Map<number, Askable>();
      handlers.set(client.connection, client);
      this.#handlers.set(kind, handlers);
    }
  }

  forget(connection: number): void {
    for (const handlers of this.#handlers.values()) handlers.delete(connection);
  }

  /**
   * Asks.
   *
   * @returns the answer to come; see {@link PendingReply} for how it can fail
   * @throws HearthError `invalid_request` for what is no such question, `not_found` where nobody answers such questions,
   *   `limit_exceeded` where whoever does owes too many answers.
   */
  ask(kind: AskKind, question: unknown, options: AskOptions): PendingReply {
    const checked = asks[kind].question.safeParse(question);
    if (!checked.success) {
      throw new HearthError('invalid_request', `question: ${describeIssues(checked.error)}`);
    }
    const client = this.#choose(kind, options.asker);
    const pending = this.#replies.open({
      connection: client.connection,
      timeoutMs: options.timeoutMs,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      check: (body) => checkAnswer(kind, body),
    });
    const { correlation } = pending;
    const line = encodeFrame({ type: 'push', id: '', correlation, kind, question: checked.data });
    const isTaken = client.push({ bytes: Buffer.byteLength(line), render: () => line });
    if (!isTaken) this.#replies.abandon(correlation);
    return pending;
  }

  #choose(kind: AskKind, asker: number | undefined): Askable {
    let chosen: { readonly client: Askable; readonly owed: number } | undefined;
    for (const client of this.#handlers.get(kind)?.values() ?? []) {
      if (client.connection === asker) continue;
      const owed = this.#replies.pending(client.connection);
      if (chosen === undefined || owed <= chosen.owed) chosen = { client, owed };
    }
    if (chosen === undefined) {
      throw new HearthError('not_found', `kind: no other client that is connected answers ${kind}`);
    }
    if (chosen.owed >= this.#mostOwed) throw owesTooMuch(this.#mostOwed);
    return chosen.client;
  }
}

function checkAnswer(kind: AskKind, body: unknown): unknown {
  const checked = asks[kind].answer.safeParse(body);
  if (checked.success) return checked.data;
  throw new HearthError('invalid_request', `body: ${describeIssues(checked.error)}`);
}

/** The other side has as many answers to give as it may. */
export function owesTooMuch(limit: number): HearthError {
  const text = `limits.pending: ${String(limit)} answers are awaited of whoever would have to answer; try again later`;
  return new HearthError('limit_exceeded', text);
}
