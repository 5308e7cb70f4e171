/**
 * The circuit breaker of a service, as data and pure functions. How a request ended is told apart:
 *
 * - `transport` and `timeout` weigh most: three in a row within a minute open it,
 * - `server_error`, a 5xx, may be the doing of one bad prompt: five,
 * - `busy` (429, 503) and `cancelled`, where the client left, say nothing of the service,
 * - `ok` is any other answer, and forgets what was.
 */
export type Outcome = 'ok' | 'transport' | 'timeout' | 'server_error' | 'busy' | 'cancelled';

export type Circuit =
  | { readonly kind: 'closed'; readonly marks: readonly Mark[] }
  | { readonly kind: 'open'; readonly since: number }
  /** One probe is out; nobody else passes until its outcome is known. */
  | { readonly kind: 'probing'; readonly probe: number };

interface Mark {
  readonly at: number;
  readonly points: number;
}

export interface CircuitPolicy {
  /** Transport failures or timeouts that open it. @default 3 */
  readonly maxErrors: number;
  /** 5xx answers that open it. @default 5 */
  readonly maxServerErrors: number;
  /** Within which they must fall, in milliseconds. @default 60 000 */
  readonly windowMs: number;
  /** How long it stays open, in milliseconds. @default 30 000 */
  readonly openMs: number;
}

export const defaultCircuitPolicy: CircuitPolicy = {
  maxErrors: 3,
  maxServerErrors: 5,
  windowMs: 60_000,
  openMs: 30_000,
};

export const closedCircuit: Circuit = { kind: 'closed', marks: [] };

/** Whether a request may pass now. */
export function passes(circuit: Circuit, now: number, { openMs }: CircuitPolicy): boolean {
  return circuit.kind === 'closed' || (circuit.kind === 'open' && now - circuit.since >= openMs);
}

/** The circuit once a request has passed. Only call it when {@link passes} says so. @param request Its number. */
export function onPass(circuit: Circuit, request: number): Circuit {
  return circuit.kind === 'open' ? { kind: 'probing', probe: request } : circuit;
}

/** The circuit once that request has ended. */
export function onEnd(
  circuit: Circuit,
  request: number,
  outcome: Outcome,
  now: number,
  policy: CircuitPolicy,
): Circuit {
  switch (circuit.kind) {
    case 'open':
      // It began before the circuit opened.
      return circuit;
    case 'probing':
      return circuit.probe === request ? onProbe(outcome, now, policy) : circuit;
    case 'closed':
      return onClosed(circuit.marks, outcome, now, policy);
  }
}

/** As it is called in reports. */
export function describeCircuit(
  circuit: Circuit,
  now: number,
  policy: CircuitPolicy,
): 'closed' | 'open' | 'half_open' {
  if (circuit.kind === 'closed') return 'closed';
  return circuit.kind === 'probing' || passes(circuit, now, policy) ? 'half_open' : 'open';
}

function onProbe(outcome: Outcome, now: number, { openMs }: CircuitPolicy): Circuit {
  if (outcome === 'ok') return closedCircuit;
  // A probe that says nothing is given back: the next request is one.
  if (outcome === 'busy' || outcome === 'cancelled') return { kind: 'open', since: now - openMs };
  return { kind: 'open', since: now };
}

function onClosed(marks: readonly Mark[], outcome: Outcome, now: number, policy: CircuitPolicy): Circuit {
  if (outcome === 'busy' || outcome === 'cancelled') return { kind: 'closed', marks };
  if (outcome === 'ok') return closedCircuit;
  const { maxErrors, maxServerErrors, windowMs } = policy;
  // In whole points, so that three thirds are one.
  const points = outcome === 'server_error' ? maxErrors : maxServerErrors;
  const recent = [...marks.filter(({ at }) => now - at < windowMs), { at: now, points }];
  const sum = recent.reduce((total, mark) => total + mark.points, 0);
  return sum >= maxErrors * maxServerErrors
    ? { kind: 'open', since: now }
    : { kind: 'closed', marks: recent };
}
