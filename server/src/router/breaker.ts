/**
 * The circuit breaker as data and pure functions (rows 75, 76; behaviours.md 1.6).
 *
 * closed --3 failures within 60 s--> open --30 s--> half open --one probe--> closed or open again.
 */
export type BreakerState =
  | { readonly kind: 'closed'; readonly failures: readonly number[] }
  | { readonly kind: 'open'; readonly since: number }
  /** One probe is out. Nobody else passes until its outcome is known. */
  | { readonly kind: 'probing' };

export interface BreakerPolicy {
  /** Failures that open it. @default 3 */
  readonly threshold: number;
  /** Within which they must fall, in milliseconds. @default 60 000 */
  readonly windowMs: number;
  /** How long it stays open, in milliseconds. @default 30 000 */
  readonly openMs: number;
}

export const defaultBreakerPolicy: BreakerPolicy = { threshold: 3, windowMs: 60_000, openMs: 30_000 };

export const closedBreaker: BreakerState = { kind: 'closed', failures: [] };

/** Whether a request may pass now. */
export function mayPass(state: BreakerState, now: number, policy: BreakerPolicy): boolean {
  return state.kind === 'closed' || (state.kind === 'open' && now - state.since >= policy.openMs);
}

/** The state once a request has passed. Only call it when {@link mayPass} says so. */
export function onPass(state: BreakerState): BreakerState {
  return state.kind === 'open' ? { kind: 'probing' } : state;
}

/** The state after a success: the history is forgotten. */
export function onSuccess(): BreakerState {
  return closedBreaker;
}

/** The state after a failure that was the backend's own. A client's mistake is never one (row 76). */
export function onFailure(state: BreakerState, now: number, policy: BreakerPolicy): BreakerState {
  if (state.kind === 'probing') return { kind: 'open', since: now };
  if (state.kind === 'open') return state;
  const recent = [...state.failures.filter((time) => now - time < policy.windowMs), now];
  return recent.length >= policy.threshold
    ? { kind: 'open', since: now }
    : { kind: 'closed', failures: recent };
}

/** The state after an outcome that says nothing of the backend, such as a cancel: a probe is given back. */
export function onNeutral(state: BreakerState, now: number, policy: BreakerPolicy): BreakerState {
  return state.kind === 'probing' ? { kind: 'open', since: now - policy.openMs } : state;
}

/** The state as health names it: open and past its time is `half_open`. */
export function describeBreaker(
  state: BreakerState,
  now: number,
  policy: BreakerPolicy,
): 'closed' | 'open' | 'half_open' {
  if (state.kind === 'closed') return 'closed';
  return state.kind === 'probing' || mayPass(state, now, policy) ? 'half_open' : 'open';
}
