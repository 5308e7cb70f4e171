/**
 * Which models are to be loaded and which are to go: a function of what there is, of who waits, and of the time. It
 * remembers nothing and reads no clock, so that a trace replays to the same decisions.
 *
 * - One load at a time, and one for all who wait for a model. It belongs to nobody: who leaves changes nothing of it.
 * - A model with running work is never unloaded, and a pinned one neither.
 * - Where there is no room, the one that was used longest ago goes, if nobody waits for it and it has been there for
 *   {@link ResidencyPolicy.leastStayMs}: models that take turns do not push each other out each time.
 * - Nobody waits for ever behind a model that is always in use: after {@link ResidencyPolicy.patienceMs} one model takes
 *   no new work, finishes what runs, and makes room.
 */
export interface ResidencyPolicy {
  /** Models that are loaded at once, at least 1. */
  readonly mostLoaded: number;
  /** How long a model stays at least while others want its room, in milliseconds. */
  readonly leastStayMs: number;
  /** How long a model stays that nobody uses, in milliseconds; 0: for ever. */
  readonly idleMs: number;
  /** How long a model that is wanted waits for room before another one has to make it, in milliseconds. */
  readonly patienceMs: number;
  /** How long a model that could not be loaded is not tried again, in milliseconds. */
  readonly retryMs: number;
}

/** One model that is known. */
export interface Slot {
  readonly id: string;
  readonly state: 'absent' | 'loading' | 'ready' | 'unloading' | 'failed';
  /** What it takes, or is expected to take, in bytes. */
  readonly bytes: number;
  /** Never unloaded while it is so. */
  readonly pinned: boolean;
  /** Since when it is in its state. */
  readonly since: number;
  readonly usedAt: number;
}

/** Who wants one model. */
export interface Demand {
  readonly waiting: number;
  /** When the first of those who wait came; meaningless where nobody waits. */
  readonly oldestAt: number;
  readonly running: number;
}

export interface Situation {
  readonly slots: readonly Slot[];
  readonly demand: ReadonlyMap<string, Demand>;
  readonly freeBytes: number;
  readonly now: number;
}

export type Action =
  | { readonly kind: 'load'; readonly id: string }
  | { readonly kind: 'unload'; readonly id: string; readonly why: 'idle' | 'room' }
  /** Ends those who wait for it. */
  | { readonly kind: 'refuse'; readonly id: string; readonly why: 'failed' | 'no_room' };

export interface Plan {
  readonly actions: readonly Action[];
  /** Loaded models that take no new work: they are about to make room. */
  readonly closed: ReadonlySet<string>;
  /** When time alone changes the plan; undefined: only an event does. */
  readonly nextAt: number | undefined;
}

const nobody: Demand = { waiting: 0, oldestAt: Infinity, running: 0 };

export function plan({ slots, demand, freeBytes, now }: Situation, policy: ResidencyPolicy): Plan {
  const wants = (id: string): Demand => demand.get(id) ?? nobody;
  const timers: number[] = [];
  const actions: Action[] = [];
  for (const { id, state, since } of slots) {
    if (state !== 'failed' || wants(id).waiting === 0) continue;
    if (now - since < policy.retryMs) actions.push({ kind: 'refuse', id, why: 'failed' });
  }
  const isRefused = (id: string): boolean => actions.some((action) => action.id === id);
  const wanted = slots
    .filter(
      ({ id, state }) =>
        (state === 'absent' || state === 'failed') && wants(id).waiting > 0 && !isRefused(id),
    )
    .toSorted((one, other) => wants(one.id).oldestAt - wants(other.id).oldestAt);
  const closed = new Set<string>();
  const [head] = wanted;
  const changing = slots.some(({ state }) => state === 'loading' || state === 'unloading');
  if (head !== undefined && !changing) {
    const outcome = makeRoom(head, { slots, freeBytes, now, policy, wants });
    if (outcome.kind === 'act') actions.push(outcome.action);
    if (outcome.kind === 'close') closed.add(outcome.id);
    if (outcome.nextAt !== undefined) timers.push(outcome.nextAt);
  }
  if (policy.idleMs > 0) {
    for (const slot of slots) {
      if (slot.state !== 'ready' || slot.pinned || isInUse(wants(slot.id)) || isRefused(slot.id)) continue;
      const at = Math.max(slot.usedAt, slot.since) + policy.idleMs;
      if (at > now) timers.push(at);
      else if (!changing) actions.push({ kind: 'unload', id: slot.id, why: 'idle' });
    }
  }
  return { actions, closed, nextAt: timers.length === 0 ? undefined : Math.min(...timers) };
}

type Room =
  | { readonly kind: 'act'; readonly action: Action; readonly nextAt?: undefined }
  | { readonly kind: 'close'; readonly id: string; readonly nextAt?: undefined }
  | { readonly kind: 'wait'; readonly nextAt: number | undefined };

interface RoomQuestion {
  readonly slots: readonly Slot[];
  readonly freeBytes: number;
  readonly now: number;
  readonly policy: ResidencyPolicy;
  readonly wants: (id: string) => Demand;
}

/** What is to be done next so that `wanted` can be loaded. */
function makeRoom(wanted: Slot, { slots, freeBytes, now, policy, wants }: RoomQuestion): Room {
  const load: Room = { kind: 'act', action: { kind: 'load', id: wanted.id } };
  const loaded = slots.filter(({ state }) => state === 'ready');
  const movable = loaded.filter(({ pinned }) => !pinned);
  const isCrowded = loaded.length >= policy.mostLoaded;
  if (!isCrowded && wanted.bytes <= freeBytes) return load;
  if (movable.length === 0) {
    // Memory that is short is for the load itself to find out, with the figures.
    return isCrowded ? { kind: 'act', action: { kind: 'refuse', id: wanted.id, why: 'no_room' } } : load;
  }
  const starvesAt = wants(wanted.id).oldestAt + policy.patienceMs;
  const starves = now >= starvesAt;
  const byUse = movable.toSorted((one, other) => one.usedAt - other.usedAt || one.since - other.since);
  const idle = byUse.filter(({ id }) => wants(id).running === 0 && (starves || wants(id).waiting === 0));
  const settled = idle.filter(({ since }) => starves || now - since >= policy.leastStayMs);
  const [victim] = settled;
  if (victim !== undefined) return { kind: 'act', action: { kind: 'unload', id: victim.id, why: 'room' } };
  if (starves) {
    const oldest = movable.toSorted((one, other) => one.since - other.since)[0];
    return oldest === undefined ? { kind: 'wait', nextAt: undefined } : { kind: 'close', id: oldest.id };
  }
  const soonest = Math.min(starvesAt, ...idle.map(({ since }) => since + policy.leastStayMs));
  return { kind: 'wait', nextAt: soonest };
}

function isInUse({ waiting, running }: Demand): boolean {
  return waiting > 0 || running > 0;
}
