import { EventEmitter } from 'node:events';
import type { ErrorCode, Health } from '@hearth/protocol';
import { nextRestart } from './restart-policy.js';
import { sameState, stateOfHealth, type SidecarState } from './state.js';

/** How a session with a sidecar process came to its end. */
export type SessionEnd =
  /** We stopped it. */
  | { readonly kind: 'asked' }
  /** It said that it was going away. */
  | { readonly kind: 'drained' }
  /** It ended by itself. `message` is what it last had to say to a person, where it said anything. */
  | {
      readonly kind: 'exited';
      readonly code: number | null;
      readonly signal: string | null;
      readonly message: string | undefined;
    }
  /** It never came to be. */
  | { readonly kind: 'not_started'; readonly reason: string };

/** One life of the sidecar process. */
export interface Session {
  readonly ended: Promise<SessionEnd>;
  /**
   * Parts from it; {@link Session.ended} then resolves within a few seconds. `leave` only goes away: a sidecar
   * that others use, or may use in a moment, lives on. `end` ends it.
   */
  readonly stop: (how: 'leave' | 'end') => void;
}

/** What the supervisor needs of the world. */
export interface SupervisorPorts<S extends Session> {
  /** Starts a process. Never throws: a failed start is a session that has ended. */
  readonly launch: (onHealth: (health: Health) => void) => S;
  /** Resolves after `ms`, or at once when `signal` is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  /** A clock that never goes back, in milliseconds. */
  readonly now: () => number;
}

export interface SupervisorEvents {
  state: [state: SidecarState];
}

/** Keeps a sidecar running: starts it, starts it again with backoff, and says where it is. */
export interface Supervisor<S extends Session> {
  readonly events: EventEmitter<SupervisorEvents>;
  readonly state: () => SidecarState;
  /** The session that runs now. */
  readonly session: () => S | undefined;
  readonly start: () => void;
  /** Ends what runs and starts anew, with no failure counted. Calls that come meanwhile share one restart. */
  readonly restart: () => Promise<void>;
  /** Leaves the sidecar. */
  readonly stop: () => Promise<void>;
}

/** Failures that another start would only repeat. */
const lasting: ReadonlySet<string> = new Set<ErrorCode>([
  'model_not_found',
  'model_load_failed',
  'insufficient_memory',
  'invalid_request',
  'unsupported_parameter',
]);

export function createSupervisor<S extends Session>(ports: SupervisorPorts<S>): Supervisor<S> {
  const events = new EventEmitter<SupervisorEvents>();
  let state: SidecarState = { kind: 'stopped' };
  let session: S | undefined;
  let life: { readonly controller: AbortController; readonly over: Promise<void> } | undefined;
  let restarting: Promise<void> | undefined;

  const become = (next: SidecarState): void => {
    if (sameState(state, next)) return;
    state = next;
    events.emit('state', next);
  };

  /** One session, from launch to end. */
  async function runSession(): Promise<{ end: SessionEnd; readyMs: number; failure: string | undefined }> {
    become({ kind: 'starting' });
    let readyAt: number | undefined;
    let failure: string | undefined;
    const current = ports.launch((health) => {
      if (session !== current) return;
      const next = stateOfHealth(health);
      if (next.kind === 'ready') readyAt ??= ports.now();
      failure = lastingFailure(health);
      become(next);
    });
    session = current;
    const end = await current.ended;
    session = undefined;
    return { end, readyMs: readyAt === undefined ? 0 : ports.now() - readyAt, failure };
  }

  async function live(signal: AbortSignal): Promise<void> {
    let failures = 0;
    const over = (): boolean => signal.aborted;
    while (!over()) {
      const { end, readyMs, failure } = await runSession();
      if (over()) return;
      const reason = failure ?? describeEnd(end);
      const restart = end.kind === 'drained' ? nextRestart(0, 0) : nextRestart(failures, readyMs);
      if (failure !== undefined || restart === undefined || lastingEnd(end)) {
        become({ kind: 'failed', reason });
        return;
      }
      failures = end.kind === 'drained' ? 0 : restart.attempt;
      become({ kind: 'restarting', ...restart, reason });
      await ports.wait(restart.delayMs, signal);
    }
  }

  const start = (): void => {
    if (life !== undefined && !life.controller.signal.aborted) return;
    const controller = new AbortController();
    life = { controller, over: live(controller.signal) };
  };
  const part = async (how: 'leave' | 'end'): Promise<void> => {
    const ending = life;
    life = undefined;
    ending?.controller.abort();
    session?.stop(how);
    await ending?.over;
    become({ kind: 'stopped' });
  };
  const restart = (): Promise<void> => {
    restarting ??= part('end')
      .then(start)
      .finally(() => {
        restarting = undefined;
      });
    return restarting;
  };

  return {
    events,
    state: () => state,
    session: () => session,
    start,
    restart,
    stop: () => part('leave'),
  };
}

/** Why a sidecar that says it failed will fail again; undefined where another start may help. */
function lastingFailure(health: Health): string | undefined {
  if (health.state !== 'failed') return undefined;
  for (const { state } of health.backends) {
    if (state.kind === 'failed' && lasting.has(state.code)) return state.reason;
  }
  return undefined;
}

/** A sidecar that cannot be started, or that refuses its settings, will do so again. */
function lastingEnd(end: SessionEnd): boolean {
  if (end.kind === 'not_started') return true;
  return end.kind === 'exited' && (end.code === wrongSettings || lasting.has(lastWords(end).code));
}

/** What a sidecar had to say in the end, such as `model_not_found: There is no such file.`, told apart. */
function lastWords({ message = '' }: Extract<SessionEnd, { kind: 'exited' }>): {
  /** Empty where it named none. */
  readonly code: string;
  readonly words: string;
} {
  const [, code = '', words = message] = /^([a-z_]+): (.*)$/s.exec(message) ?? [];
  return { code, words };
}

/** The sidecar's exit code for a wrong flag or value (server/src/cli/exit-codes.ts). */
const wrongSettings = 2;

/** What a person is told of an end. */
export function describeEnd(end: SessionEnd): string {
  switch (end.kind) {
    case 'asked':
      return 'The sidecar was stopped.';
    case 'drained':
      return 'The sidecar was shut down from outside.';
    case 'not_started':
      return end.reason;
    case 'exited':
      if (end.message !== undefined)
        return lasting.has(lastWords(end).code) ? lastWords(end).words : end.message;
      return end.signal === null
        ? `The sidecar ended with code ${end.code ?? 'unknown'}.`
        : `The sidecar was ended by ${end.signal}.`;
  }
}
