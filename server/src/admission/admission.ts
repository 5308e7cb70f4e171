import { HearthError, type JobClass } from '@hearth/protocol';
import {
  arrive,
  close,
  type Decision,
  type Effect,
  emptySchedule,
  type EndCode,
  expectedWait,
  expire,
  finish,
  type Job,
  leave,
  nextExpiry,
  type Policy,
  type Schedule,
  serve,
  serviceOrder,
} from './schedule.js';

/** What a request says of itself when it asks to run. */
export interface Ticket {
  /** The daemon's own id of the request; never used twice. */
  readonly id: string;
  /** Who asks; see {@link Job.client}. */
  readonly client: string;
  readonly class: JobClass;
  /** See {@link Job.model}. */
  readonly model?: string | undefined;
  readonly supersedeKey?: string | undefined;
  /** Milliseconds from now after which the answer is of no use. */
  readonly deadlineMs?: number | undefined;
  /** Told the place in the queue (0: next) and the expected wait in milliseconds, whenever either changes. */
  readonly onQueued?: ((position: number, expectedWaitMs: number | undefined) => void) | undefined;
}

/** The right to run. */
export interface Permit {
  /** How long the request waited for it, in milliseconds. */
  readonly waitedMs: number;
  /** Aborted, with a {@link HearthError} as its reason, when the work is to stop: superseded, or past its deadline. */
  readonly revoked: AbortSignal;
  /** Gives it back. Doing so again does nothing. */
  release(): void;
}

/** How much a model is wanted. */
export interface ModelDemand {
  readonly waiting: number;
  /** When the first of those who wait came, in the clock's milliseconds. */
  readonly oldestAt: number;
  readonly running: number;
}

/** What became of a request to run. Cancellation is not an error. */
export type Admitted = { readonly kind: 'granted'; readonly permit: Permit } | { readonly kind: 'cancelled' };

export interface AdmissionOptions {
  /** Requests that run at once. @default 1 */
  readonly activePermits: number;
  /** Requests that wait behind them. @default 10 */
  readonly queueDepth: number;
  /** How long a request of each class waits before it ends with `queue_timeout`, in milliseconds; absent: for ever. */
  readonly patienceMs?: Partial<Record<JobClass, number>>;
  /** See {@link Policy.ageingMs}. @default 60 000 */
  readonly ageingMs?: number;
}

/** Time as admission needs it; a test has its own. */
export interface Clock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Calls back once after `delayMs`; returns what cancels it. */
  schedule(delayMs: number, callback: () => void): () => void;
}

/** The process's own time. Its timers keep no process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  schedule: (delayMs, callback) => {
    const timer = setTimeout(callback, delayMs).unref();
    return () => {
      clearTimeout(timer);
    };
  },
};

interface Waiter {
  readonly ticket: Ticket;
  readonly signal: AbortSignal;
  readonly onAbort: () => void;
  readonly grant: (admitted: Admitted) => void;
  readonly refuse: (error: HearthError) => void;
  lastQueued: string;
}

/**
 * The one gate through which every request passes, whatever surface it came by (row 64). It owns the
 * {@link Schedule}, which decides, and carries out what was decided: grants permits, ends who waits, revokes who
 * runs. A refusal is immediate and costs nobody a turn (rows 60, 63).
 */
export class Admission {
  readonly #policy: Policy;
  readonly #patienceMs: Partial<Record<JobClass, number>>;
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #waiters = new Map<string, Waiter>();
  readonly #revokers = new Map<string, AbortController>();
  #schedule: Schedule = emptySchedule;
  #cancelTimer: () => void = () => undefined;

  /**
   * @param onChange called after each change of the counts.
   * @throws RangeError that quotes the limit, where one is out of range.
   */
  constructor(options: AdmissionOptions, clock: Clock = systemClock, onChange: () => void = () => undefined) {
    requireAtLeast('activePermits', options.activePermits, 1);
    requireAtLeast('queueDepth', options.queueDepth, 0);
    const { activePermits, queueDepth, ageingMs = 60_000 } = options;
    this.#policy = { activePermits, queueDepth, ageingMs };
    this.#patienceMs = options.patienceMs ?? {};
    this.#clock = clock;
    this.#onChange = onChange;
  }

  get permitsInUse(): number {
    return this.#schedule.running.size;
  }

  get queued(): number {
    return this.#schedule.waiting.length;
  }

  /**
   * Waits for a permit. Aborting `signal` while waiting leaves the queue at once (row 67); once granted, it is for
   * the work to stop and to release.
   *
   * @throws HearthError `queue_full` with the time after which a slot is expected to be free, `queue_timeout`,
   *   `deadline_exceeded`, `superseded`, `draining`.
   */
  acquire(ticket: Ticket, signal: AbortSignal): Promise<Admitted> {
    if (signal.aborted) return Promise.resolve({ kind: 'cancelled' });
    return new Promise((grant, refuse) => {
      const onAbort = (): void => {
        this.#leave(ticket.id);
      };
      this.#waiters.set(ticket.id, { ticket, signal, onAbort, grant, refuse, lastQueued: '' });
      const now = this.#clock.now();
      this.#carryOut(arrive(this.#schedule, this.#policy, this.#toJob(ticket, now), now));
      // Most are answered by now, and need not listen.
      if (this.#waiters.has(ticket.id)) signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Says which models' requests can be started from now on. */
  setServable(models: ReadonlySet<string>): void {
    this.#carryOut(serve(this.#schedule, this.#policy, models, this.#clock.now()));
  }

  /** Ends all who wait for `model`, with `error`. */
  refuseModel(model: string, error: HearthError): void {
    for (const job of this.#schedule.waiting) {
      if (job.model !== model) continue;
      const waiter = this.#takeWaiter(job.id);
      this.#carryOut(leave(this.#schedule, job.id));
      waiter?.refuse(error);
    }
  }

  /** Who waits for and who runs with each model that comes and goes. */
  demand(): ReadonlyMap<string, ModelDemand> {
    const demand = new Map<string, { waiting: number; oldestAt: number; running: number }>();
    const of = (model: string): { waiting: number; oldestAt: number; running: number } => {
      const found = demand.get(model) ?? { waiting: 0, oldestAt: Infinity, running: 0 };
      demand.set(model, found);
      return found;
    };
    for (const { model, arrivedAt } of this.#schedule.waiting) {
      if (model === undefined) continue;
      const wanted = of(model);
      wanted.waiting += 1;
      wanted.oldestAt = Math.min(wanted.oldestAt, arrivedAt);
    }
    for (const { job } of this.#schedule.running.values()) {
      if (job.model !== undefined) of(job.model).running += 1;
    }
    return demand;
  }

  /** Refuses all who wait and all who come, with `draining`. Permits that are out stay out (row 65). */
  close(): void {
    this.#carryOut(close(this.#schedule));
  }

  #toJob(ticket: Ticket, now: number): Job {
    const patience = this.#patienceMs[ticket.class];
    return {
      id: ticket.id,
      client: ticket.client,
      class: ticket.class,
      model: ticket.model,
      supersedeKey: ticket.supersedeKey,
      arrivedAt: now,
      deadlineAt: ticket.deadlineMs === undefined ? undefined : now + ticket.deadlineMs,
      patientUntil: patience === undefined ? undefined : now + patience,
    };
  }

  #leave(id: string): void {
    const waiter = this.#takeWaiter(id);
    if (waiter === undefined) return;
    this.#carryOut(leave(this.#schedule, id));
    waiter.grant({ kind: 'cancelled' });
  }

  #carryOut(decision: Decision): void {
    this.#schedule = decision.schedule;
    for (const effect of decision.effects) this.#perform(effect);
    this.#setTimer();
    this.#tellPositions();
    this.#onChange();
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'start':
        this.#takeWaiter(effect.job.id)?.grant({ kind: 'granted', permit: this.#makePermit(effect.job) });
        return;
      case 'end':
        this.#takeWaiter(effect.job.id)?.refuse(toError(effect.code, effect.retryAfterMs));
        return;
      case 'abort':
        this.#revokers.get(effect.job.id)?.abort(toError(effect.code));
    }
  }

  #takeWaiter(id: string): Waiter | undefined {
    const waiter = this.#waiters.get(id);
    this.#waiters.delete(id);
    waiter?.signal.removeEventListener('abort', waiter.onAbort);
    return waiter;
  }

  #makePermit(job: Job): Permit {
    const revoker = new AbortController();
    this.#revokers.set(job.id, revoker);
    return {
      waitedMs: this.#clock.now() - job.arrivedAt,
      revoked: revoker.signal,
      release: () => {
        if (!this.#revokers.delete(job.id)) return;
        this.#carryOut(finish(this.#schedule, this.#policy, job.id, this.#clock.now()));
      },
    };
  }

  #setTimer(): void {
    this.#cancelTimer();
    this.#cancelTimer = () => undefined;
    const next = nextExpiry(this.#schedule);
    if (next === undefined) return;
    this.#cancelTimer = this.#clock.schedule(Math.max(0, Math.ceil(next - this.#clock.now())), () => {
      this.#carryOut(expire(this.#schedule, this.#clock.now()));
    });
  }

  /** The order is worked out only where somebody wants to know it. */
  #tellPositions(): void {
    if (![...this.#waiters.values()].some(({ ticket }) => ticket.onQueued !== undefined)) return;
    const order = serviceOrder(this.#schedule, this.#policy, this.#clock.now());
    for (const [position, job] of order.entries()) {
      const waiter = this.#waiters.get(job.id);
      if (waiter?.ticket.onQueued === undefined) continue;
      const wait = expectedWait(this.#schedule, this.#policy, position);
      const queued = `${String(position)} ${String(wait)}`;
      if (queued === waiter.lastQueued) continue;
      waiter.lastQueued = queued;
      waiter.ticket.onQueued(position, wait);
    }
  }
}

const texts: Record<EndCode, string> = {
  queue_full: 'queue full: try again when a running request has ended',
  queue_timeout: 'the request waited too long for its turn: try again when there is less to do',
  deadline_exceeded: 'the deadline of the request has passed',
  superseded: 'a newer request has taken the place of this one',
  draining: 'Hearth is shutting down: connect again when it is back',
};

function toError(code: EndCode, retryAfterMs?: number): HearthError {
  return new HearthError(code, texts[code], retryAfterMs === undefined ? {} : { retryAfterMs });
}

function requireAtLeast(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new RangeError(`${name} must be a whole number of at least ${String(least)}, not ${String(value)}`);
}
