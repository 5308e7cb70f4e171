import { type JobClass, jobClasses } from '@hearth/protocol';

/**
 * Who runs next: admission as data and pure functions. Each event gives a new state and says what is to be done;
 * the same events at the same times always give the same decisions, so that a trace can be replayed.
 *
 * Order: class first (`interactive`, `chat`, `background`), then the client that has had least, then arrival. So a
 * keystroke never waits behind a batch, a client that floods waits for itself, and the requests of one client and
 * class stay in order. Background work that has waited {@link Policy.ageingMs} counts as chat: it never starves
 * behind chats, and never delays a keystroke.
 *
 * What a client has had is start-time fair queueing (P. Goyal et al., "Start-time Fair Queuing", SIGCOMM 1996):
 * each client has a tag that grows by the time that it holds permits, and a client that comes anew starts at the
 * tag of the job that was started last.
 *
 * Bound: running and waiting together never exceed `activePermits + queueDepth`. A newcomer to a full queue is
 * refused, unless somebody with a weaker claim waits: a lower class, or a client of the same class with at least
 * two more waiting. Then the newest of those is refused in its place (longest queue drop; B. Suter et al., "Design
 * considerations for supporting TCP with per-flow queueing", INFOCOM 1998).
 */

/** One request as the schedule knows it. Times are monotonic milliseconds. */
export interface Job {
  /** The daemon's own; never used twice. */
  readonly id: string;
  /** Who asks: all requests of one client share one fair share. */
  readonly client: string;
  readonly class: JobClass;
  /** The model that it can only run with, where that comes and goes; undefined: it can always run. */
  readonly model?: string | undefined;
  /** A newer job of the same client with the same key ends this one, waiting or running. */
  readonly supersedeKey: string | undefined;
  readonly arrivedAt: number;
  /** When the client has no use for the answer any more; it ends a running job too. */
  readonly deadlineAt: number | undefined;
  /** When it has waited long enough for its class; it ends a waiting job only. */
  readonly patientUntil: number | undefined;
}

export interface Policy {
  /** Jobs that run at once; at least 1. */
  readonly activePermits: number;
  /** Jobs that wait behind them; at least 0. */
  readonly queueDepth: number;
  /** After so long in the queue, background work counts as chat. */
  readonly ageingMs: number;
}

export interface Running {
  readonly job: Job;
  readonly startedAt: number;
  /** What its client was charged in advance; set right when it ends. */
  readonly charged: number;
}

export interface Schedule {
  readonly running: ReadonlyMap<string, Running>;
  /** In order of arrival. */
  readonly waiting: readonly Job[];
  /** Per client, in milliseconds of permit. Clients at or below {@link virtualTime} without work are forgotten. */
  readonly tags: ReadonlyMap<string, number>;
  /** The tag with which the last job was started. */
  readonly virtualTime: number;
  /** How long a permit is held: moving average in milliseconds; undefined before the first job has ended. */
  readonly serviceMs: number | undefined;
  /** Models whose jobs can be started now. The others' wait, within the same bound. */
  readonly servable: ReadonlySet<string>;
  readonly closed: boolean;
}

export const emptySchedule: Schedule = {
  running: new Map(),
  waiting: [],
  tags: new Map(),
  virtualTime: 0,
  serviceMs: undefined,
  servable: new Set(),
  closed: false,
};

/** Why a job ends without having run, or before it has finished. */
export type EndCode = 'queue_full' | 'queue_timeout' | 'deadline_exceeded' | 'superseded' | 'draining';

export type Effect =
  | { readonly kind: 'start'; readonly job: Job }
  /** A job that waits, or has just come, is over. */
  | {
      readonly kind: 'end';
      readonly job: Job;
      readonly code: EndCode;
      readonly retryAfterMs: number | undefined;
    }
  /** A running job is to be stopped; it goes on holding its permit until {@link finish}. */
  | { readonly kind: 'abort'; readonly job: Job; readonly code: EndCode };

export interface Decision {
  readonly schedule: Schedule;
  readonly effects: readonly Effect[];
}

/** A job has come. */
export function arrive(before: Schedule, policy: Policy, job: Job, now: number): Decision {
  if (before.closed) return { schedule: before, effects: [end(job, 'draining')] };
  const superseded = supersede(before, job);
  const placed = place(superseded.schedule, policy, job);
  const filled = fill(placed.schedule, policy, now);
  return {
    schedule: filled.schedule,
    effects: [...superseded.effects, ...placed.effects, ...filled.effects],
  };
}

/** A running job has given its permit back. Unknown ids change nothing. */
export function finish(before: Schedule, policy: Policy, id: string, now: number): Decision {
  const ended = before.running.get(id);
  if (ended === undefined) return { schedule: before, effects: [] };
  const held = Math.max(0, now - ended.startedAt);
  const running = new Map(before.running);
  running.delete(id);
  const { client } = ended.job;
  const tags = new Map(before.tags).set(client, tagOf(before, client) + held - ended.charged);
  const serviceMs = before.serviceMs === undefined ? held : before.serviceMs * 0.8 + held * 0.2;
  return fill({ ...before, running, tags, serviceMs }, policy, now);
}

/** Other models than before can serve now. */
export function serve(
  before: Schedule,
  policy: Policy,
  servable: ReadonlySet<string>,
  now: number,
): Decision {
  return fill({ ...before, servable }, policy, now);
}

/** A waiting job's client has gone. A running one ends by {@link finish}. */
export function leave(before: Schedule, id: string): Decision {
  const waiting = before.waiting.filter((job) => job.id !== id);
  return { schedule: forget({ ...before, waiting }), effects: [] };
}

/** Time has passed: ends what has run out of it. To be called at {@link nextExpiry}. */
export function expire(before: Schedule, now: number): Decision {
  const effects: Effect[] = [];
  const waiting = before.waiting.filter((job) => {
    const code = expiryOf(job, now);
    if (code !== undefined) effects.push(end(job, code));
    return code === undefined;
  });
  const running = new Map(before.running);
  for (const [id, entry] of before.running) {
    if (entry.job.deadlineAt === undefined || now < entry.job.deadlineAt) continue;
    effects.push({ kind: 'abort', job: entry.job, code: 'deadline_exceeded' });
    // Once is enough.
    running.set(id, { ...entry, job: { ...entry.job, deadlineAt: undefined } });
  }
  return { schedule: forget({ ...before, waiting, running }), effects };
}

/** No more work is taken; what waits is over. */
export function close(before: Schedule): Decision {
  return {
    schedule: { ...before, waiting: [], closed: true },
    effects: before.waiting.map((job) => end(job, 'draining')),
  };
}

/** When {@link expire} has something to do next; undefined: never. */
export function nextExpiry(schedule: Schedule): number | undefined {
  let next = Infinity;
  for (const job of schedule.waiting)
    next = Math.min(next, job.deadlineAt ?? Infinity, job.patientUntil ?? Infinity);
  for (const { job } of schedule.running.values()) next = Math.min(next, job.deadlineAt ?? Infinity);
  return next === Infinity ? undefined : next;
}

/**
 * Jobs in the order in which they would be started if nobody else came and nobody left; those whose model is not there
 * behind the others, as they came.
 */
export function serviceOrder(schedule: Schedule, policy: Policy, now: number): readonly Job[] {
  const order: Job[] = [];
  let rest = schedule;
  for (let job = pick(rest, policy, now); job !== undefined; job = pick(rest, policy, now)) {
    order.push(job);
    rest = start(rest, job, now);
  }
  return [...order, ...rest.waiting];
}

/** Expected wait of the job at `position` (0: next), in milliseconds; undefined before anything has been measured. */
export function expectedWait(schedule: Schedule, policy: Policy, position: number): number | undefined {
  if (schedule.serviceMs === undefined) return undefined;
  return Math.round(((position + 1) * schedule.serviceMs) / policy.activePermits);
}

/** What a job is charged before it is known what it takes: the average so far. */
const unknownServiceMs = 1000;

function supersede(before: Schedule, newer: Job): Decision {
  if (newer.supersedeKey === undefined) return { schedule: before, effects: [] };
  const isOlder = (job: Job): boolean =>
    job.client === newer.client && job.supersedeKey === newer.supersedeKey;
  const effects: Effect[] = before.waiting.filter(isOlder).map((job) => end(job, 'superseded'));
  const running = new Map(before.running);
  for (const [id, entry] of before.running) {
    if (!isOlder(entry.job)) continue;
    effects.push({ kind: 'abort', job: entry.job, code: 'superseded' });
    // Once is enough.
    running.set(id, { ...entry, job: { ...entry.job, supersedeKey: undefined } });
  }
  return {
    schedule: { ...before, running, waiting: before.waiting.filter((job) => !isOlder(job)) },
    effects,
  };
}

/** Puts the newcomer into the queue, in another's place where it is full. {@link fill} then starts what can start. */
function place(before: Schedule, policy: Policy, job: Job): Decision {
  const tags = new Map(before.tags).set(job.client, tagOf(before, job.client));
  const withJob = (waiting: readonly Job[]): Schedule => ({ ...before, tags, waiting: [...waiting, job] });
  const outstanding = before.running.size + before.waiting.length;
  if (outstanding < policy.activePermits + policy.queueDepth) {
    return { schedule: withJob(before.waiting), effects: [] };
  }
  const weaker = weakestBelow(before, job);
  const refused = weaker ?? job;
  const effects = [end(refused, 'queue_full', expectedWait(before, policy, 0))];
  if (weaker === undefined) return { schedule: before, effects };
  return { schedule: withJob(before.waiting.filter((other) => other !== weaker)), effects };
}

/** The waiting job with the weakest claim, if that is weaker than the newcomer's. */
function weakestBelow(schedule: Schedule, newcomer: Job): Job | undefined {
  const lowest = Math.max(...schedule.waiting.map(rank));
  if (lowest < rank(newcomer)) return undefined;
  const crowds = new Map<string, number>();
  for (const job of schedule.waiting) {
    if (rank(job) === lowest) crowds.set(job.client, (crowds.get(job.client) ?? 0) + 1);
  }
  const largest = Math.max(...crowds.values());
  if (lowest === rank(newcomer) && largest < (crowds.get(newcomer.client) ?? 0) + 2) return undefined;
  return schedule.waiting.findLast((job) => rank(job) === lowest && crowds.get(job.client) === largest);
}

/** Starts jobs while there are permits. */
function fill(before: Schedule, policy: Policy, now: number): Decision {
  const effects: Effect[] = [];
  let schedule = before;
  while (schedule.running.size < policy.activePermits) {
    const job = pick(schedule, policy, now);
    if (job === undefined) break;
    schedule = start(schedule, job, now);
    effects.push({ kind: 'start', job });
  }
  return { schedule: forget(schedule), effects };
}

function pick(schedule: Schedule, policy: Policy, now: number): Job | undefined {
  let best: Job | undefined;
  for (const job of schedule.waiting) {
    if (job.model !== undefined && !schedule.servable.has(job.model)) continue;
    if (best === undefined || goesBefore(schedule, policy, now, job, best)) best = job;
  }
  return best;
}

/** Of two that wait, the younger given first. Equal claims leave the older where it is. */
function goesBefore(schedule: Schedule, policy: Policy, now: number, younger: Job, older: Job): boolean {
  const byClass = agedRank(younger, policy, now) - agedRank(older, policy, now);
  if (byClass !== 0) return byClass < 0;
  return tagOf(schedule, younger.client) < tagOf(schedule, older.client);
}

function start(before: Schedule, job: Job, now: number): Schedule {
  const charged = before.serviceMs ?? unknownServiceMs;
  const tag = tagOf(before, job.client);
  return {
    ...before,
    running: new Map(before.running).set(job.id, { job, startedAt: now, charged }),
    waiting: before.waiting.filter((other) => other !== job),
    tags: new Map(before.tags).set(job.client, tag + charged),
    virtualTime: Math.max(before.virtualTime, tag),
  };
}

/** A client that is new, or has fallen behind, starts at the present: what it did not use is not saved up. */
function tagOf(schedule: Schedule, client: string): number {
  return Math.max(schedule.tags.get(client) ?? 0, schedule.virtualTime);
}

/** Keeps {@link Schedule.tags} bounded: drops what says nothing, and all of it when nothing is left to share. */
function forget(schedule: Schedule): Schedule {
  if (schedule.running.size + schedule.waiting.length === 0)
    return { ...schedule, tags: new Map(), virtualTime: 0 };
  const busy = new Set(schedule.waiting.map((job) => job.client));
  for (const { job } of schedule.running.values()) busy.add(job.client);
  const tags = [...schedule.tags].filter(([client, tag]) => busy.has(client) || tag > schedule.virtualTime);
  return tags.length === schedule.tags.size ? schedule : { ...schedule, tags: new Map(tags) };
}

function expiryOf(job: Job, now: number): EndCode | undefined {
  if (job.deadlineAt !== undefined && now >= job.deadlineAt) return 'deadline_exceeded';
  return job.patientUntil !== undefined && now >= job.patientUntil ? 'queue_timeout' : undefined;
}

function rank(job: Job): number {
  return jobClasses.indexOf(job.class);
}

function agedRank(job: Job, policy: Policy, now: number): number {
  const isAged = job.class === 'background' && now - job.arrivedAt >= policy.ageingMs;
  return isAged ? jobClasses.indexOf('chat') : rank(job);
}

function end(job: Job, code: EndCode, retryAfterMs?: number): Effect {
  return { kind: 'end', job, code, retryAfterMs };
}
