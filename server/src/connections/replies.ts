import { HearthError } from '@hearth/protocol';

/**
 * Answers that somebody waits for: the daemon or one client asks another client, under a correlation id, and whatever
 * becomes of that client the waiter hears of it (rows 149 to 154).
 */

/** The client that was to answer has gone, in peace or by a crash. */
export class ReplyDisconnectedError extends HearthError {
  readonly correlation: number;

  constructor(correlation: number) {
    super('peer_disconnected', 'The client that was asked has disconnected. Ask again when it is back.');
    this.correlation = correlation;
  }
}

/** The client that was to answer is there, and did not answer in time. */
export class ReplyTimeoutError extends HearthError {
  readonly correlation: number;

  constructor(correlation: number, timeoutMs: number) {
    super('deadline_exceeded', `The client that was asked did not answer within ${String(timeoutMs)} ms.`);
    this.correlation = correlation;
  }
}

/** What a short wait found: the answer, or that it is still awaited. */
export type ReplyLook = { readonly kind: 'answered'; readonly body: unknown } | { readonly kind: 'pending' };

/** An answer that is awaited. */
export interface PendingReply {
  readonly correlation: number;
  /** The answer. @throws ReplyDisconnectedError, @throws ReplyTimeoutError, @throws the signal's reason. */
  readonly answer: Promise<unknown>;
  /**
   * Waits for so long and no longer. Time that runs out here changes nothing: the answer is still awaited, and can be
   * looked for again (row 154). @throws as {@link answer}.
   */
  look(quantumMs: number): Promise<ReplyLook>;
}

export interface OpenReply {
  /** The connection that is to answer. */
  readonly connection: number;
  readonly timeoutMs: number;
  /** Gives up on it. */
  readonly signal?: AbortSignal;
  /** Checks the answer; what it gives is what the waiter gets. @throws HearthError where it is no answer. */
  readonly check?: (body: unknown) => unknown;
  /** Called once when it is over, however it ends. */
  readonly onEnd?: () => void;
}

/** Calls back once after a time; returns what cancels it. */
export type Schedule = (delayMs: number, callback: () => void) => () => void;

interface Slot extends OpenReply {
  readonly resolve: (body: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const systemSchedule: Schedule = (delayMs, callback) => {
  const timer = setTimeout(callback, delayMs);
  timer.unref();
  return () => {
    clearTimeout(timer);
  };
};

/** Every answer that is awaited. Its callers bound how many one connection may ask for and owe. */
export class ReplyTable {
  readonly #slots = new Map<number, Slot>();
  readonly #schedule: Schedule;
  #last = 0;

  constructor(schedule: Schedule = systemSchedule) {
    this.#schedule = schedule;
  }

  /** Answers that are awaited, of one connection or of all. */
  pending(connection?: number): number {
    if (connection === undefined) return this.#slots.size;
    let count = 0;
    for (const slot of this.#slots.values()) if (slot.connection === connection) count += 1;
    return count;
  }

  /** Makes room for an answer before anything is sent, so that none can come too early. */
  open(options: OpenReply): PendingReply {
    this.#last += 1;
    const correlation = this.#last;
    const { timeoutMs, signal } = options;
    const answer = new Promise<unknown>((resolve, reject) => {
      const cancelTimer = this.#schedule(timeoutMs, () => {
        this.#end(correlation, (slot) => {
          slot.reject(new ReplyTimeoutError(correlation, timeoutMs));
        });
      });
      const onAbort = (): void => {
        this.#end(correlation, (slot) => {
          slot.reject(signal?.reason);
        });
      };
      const onEnd = (): void => {
        cancelTimer();
        signal?.removeEventListener('abort', onAbort);
        options.onEnd?.();
      };
      this.#slots.set(correlation, { ...options, resolve, reject, onEnd });
      if (signal?.aborted === true) onAbort();
      else signal?.addEventListener('abort', onAbort, { once: true });
    });
    // Who only looks now and then must not be ended by a failure that he has not looked at yet.
    answer.catch(() => undefined);
    return { correlation, answer, look: (quantumMs) => look(answer, quantumMs, this.#schedule) };
  }

  /**
   * Delivers an answer.
   *
   * @throws HearthError `not_found` where this connection owes no such answer: never asked, answered already, too late,
   *   or asked of another. What its check throws where it is no answer; it can then still be given.
   */
  resolve(connection: number, correlation: number, body: unknown): void {
    const slot = this.#slots.get(correlation);
    if (slot?.connection !== connection) {
      throw new HearthError('not_found', 'correlation: no answer with this number is awaited of you');
    }
    const answer = slot.check === undefined ? body : slot.check(body);
    this.#end(correlation, () => {
      slot.resolve(answer);
    });
  }

  /** Wakes at once whoever waits for an answer of this connection. Called again it does nothing. */
  disconnect(connection: number): void {
    for (const [correlation, slot] of [...this.#slots]) {
      if (slot.connection !== connection) continue;
      this.#end(correlation, () => {
        slot.reject(new ReplyDisconnectedError(correlation));
      });
    }
  }

  /** Gives up on one answer, which cannot come any more. */
  abandon(correlation: number): void {
    this.#end(correlation, (slot) => {
      slot.reject(new ReplyDisconnectedError(correlation));
    });
  }

  #end(correlation: number, tell: (slot: Slot) => void): void {
    const slot = this.#slots.get(correlation);
    if (slot === undefined) return;
    this.#slots.delete(correlation);
    tell(slot);
    slot.onEnd?.();
  }
}

async function look(answer: Promise<unknown>, quantumMs: number, schedule: Schedule): Promise<ReplyLook> {
  let cancel: () => void = () => undefined;
  const quantum = new Promise<ReplyLook>((resolve) => {
    cancel = schedule(quantumMs, () => {
      resolve({ kind: 'pending' });
    });
  });
  try {
    // In this order an answer that is there wins over a wait of nothing.
    return await Promise.race([answer.then((body): ReplyLook => ({ kind: 'answered', body })), quantum]);
  } finally {
    cancel();
  }
}
