import type { Health } from '@hearth/protocol';
import { describe, expect, it, vi } from 'vitest';
import type { SidecarState } from './state.js';
import { createSupervisor, type Session, type SessionEnd, type Supervisor } from './supervisor.js';
import { testHealth } from './test-health.js';

interface FakeSession extends Session {
  readonly say: (health: Health) => void;
  readonly end: (how: SessionEnd) => void;
}

interface World {
  readonly supervisor: Supervisor<FakeSession>;
  readonly sessions: FakeSession[];
  readonly states: SidecarState[];
  readonly waits: number[];
  /** How sessions were stopped. */
  readonly stops: string[];
  /** Lets the wait that is under way end. */
  readonly proceed: () => void;
  /** The session that was started last. */
  readonly latest: () => FakeSession;
}

function world(): World {
  const sessions: FakeSession[] = [];
  const states: SidecarState[] = [];
  const waits: number[] = [];
  const stops: string[] = [];
  let proceed = (): void => {};
  const supervisor = createSupervisor<FakeSession>({
    launch: (onHealth) => {
      let end = (_how: SessionEnd): void => {};
      const ended = new Promise<SessionEnd>((resolve) => (end = resolve));
      const session: FakeSession = {
        ended,
        say: onHealth,
        end,
        stop: (how) => {
          stops.push(how);
          end({ kind: 'asked' });
        },
      };
      sessions.push(session);
      return session;
    },
    wait: (ms, signal) => {
      waits.push(ms);
      return new Promise((resolve) => {
        proceed = resolve;
        signal.addEventListener('abort', () => resolve());
      });
    },
    now: () => 0,
  });
  supervisor.events.on('state', (state) => states.push(state));
  const latest = (): FakeSession => {
    const session = sessions.at(-1);
    if (session === undefined) throw new Error('nothing was launched');
    return session;
  };
  return { supervisor, sessions, states, waits, stops, proceed: () => proceed(), latest };
}

const killed: SessionEnd = { kind: 'exited', code: null, signal: 'SIGKILL', message: undefined };
const kinds = (states: readonly SidecarState[]): readonly string[] => states.map(({ kind }) => kind);

describe('the supervisor', () => {
  it('shows what the health says', () => {
    const { supervisor, states, latest } = world();
    supervisor.start();
    latest().say(testHealth({ state: { kind: 'loading', phase: 'mmap' } }, { state: 'loading' }));
    latest().say(testHealth());
    latest().say(testHealth({}, { uptimeMs: 99 }));
    expect(kinds(states)).toEqual(['starting', 'loading', 'ready']);
  });

  it('does not start a sidecar again that found no model: it would find none the next time', async () => {
    const { supervisor, sessions, states, latest } = world();
    supervisor.start();
    const message = 'model_not_found: There is no such model file.';
    latest().end({ kind: 'exited', code: 4, signal: null, message });
    await vi.waitFor(() => expect(kinds(states)).toEqual(['starting', 'failed']));
    expect(supervisor.state()).toEqual({ kind: 'failed', reason: 'There is no such model file.' });
    expect(sessions).toHaveLength(1);
  });

  it('starts a sidecar again that was killed, after half a second, and says why', async () => {
    const { supervisor, sessions, states, waits, proceed, latest } = world();
    supervisor.start();
    latest().say(testHealth());
    latest().end(killed);
    await vi.waitFor(() => expect(waits).toEqual([500]));
    expect(states.at(-1)).toEqual({
      kind: 'restarting',
      attempt: 1,
      delayMs: 500,
      reason: 'The sidecar was ended by SIGKILL.',
    });
    expect(supervisor.session()).toBeUndefined();
    proceed();
    await vi.waitFor(() => expect(sessions).toHaveLength(2));
    latest().say(testHealth());
    expect(supervisor.state().kind).toBe('ready');
  });

  it('gives up after eight restarts in a row, with the last reason', async () => {
    const { supervisor, sessions, states, waits, proceed, latest } = world();
    supervisor.start();
    for (let restarts = 1; restarts <= 8; restarts += 1) {
      latest().end({ kind: 'exited', code: 1, signal: null, message: 'It broke.' });
      await vi.waitFor(() => expect(waits).toHaveLength(restarts));
      proceed();
      await vi.waitFor(() => expect(sessions).toHaveLength(restarts + 1));
    }
    latest().end({ kind: 'exited', code: 1, signal: null, message: 'It broke.' });
    await vi.waitFor(() => expect(states.at(-1)).toEqual({ kind: 'failed', reason: 'It broke.' }));
  });

  it('does not try again what would only fail again: a model that cannot be loaded', async () => {
    const { supervisor, states, latest } = world();
    supervisor.start();
    const state = { kind: 'failed', code: 'model_load_failed', reason: 'Not a GGUF file.' } as const;
    latest().say(testHealth({ state }, { state: 'failed' }));
    latest().end({ kind: 'exited', code: 4, signal: null, message: 'other' });
    await vi.waitFor(() => expect(supervisor.session()).toBeUndefined());
    expect(states.at(-1)).toEqual({ kind: 'failed', reason: 'Not a GGUF file.' });
  });

  it('does not try again what would only fail again: a wrong setting', async () => {
    const { supervisor, states, latest } = world();
    supervisor.start();
    latest().end({ kind: 'exited', code: 2, signal: null, message: 'No such flag.' });
    await vi.waitFor(() => expect(states.at(-1)).toEqual({ kind: 'failed', reason: 'No such flag.' }));
  });

  it('counts no failure where the sidecar drained', async () => {
    const { supervisor, sessions, waits, proceed, latest } = world();
    supervisor.start();
    for (const round of [1, 2, 3]) {
      latest().end({ kind: 'drained' });
      await vi.waitFor(() => expect(waits).toHaveLength(round));
      proceed();
      await vi.waitFor(() => expect(sessions).toHaveLength(round + 1));
    }
    expect(waits).toEqual([500, 500, 500]);
  });

  it('restarts at once when asked, after the old one has ended, and once for calls that come together', async () => {
    const { supervisor, sessions, states, stops } = world();
    supervisor.start();
    await Promise.all([supervisor.restart(), supervisor.restart()]);
    expect(stops).toEqual(['end']);
    expect(sessions).toHaveLength(2);
    expect(kinds(states)).toEqual(['starting', 'stopped', 'starting']);
  });

  it('restarts at once while it waits to try again, and after it has given up', async () => {
    const { supervisor, sessions, waits, latest } = world();
    supervisor.start();
    latest().end(killed);
    await vi.waitFor(() => expect(waits).toHaveLength(1));
    await supervisor.restart();
    expect(sessions).toHaveLength(2);
    latest().end({ kind: 'not_started', reason: 'no' });
    await vi.waitFor(() => expect(supervisor.state().kind).toBe('failed'));
    await supervisor.restart();
    expect(sessions).toHaveLength(3);
  });

  it('leaves its sidecar to others when it stops', async () => {
    const { supervisor, latest, stops } = world();
    supervisor.start();
    const session = latest();
    await supervisor.stop();
    expect(await session.ended).toEqual({ kind: 'asked' });
    expect(supervisor.state()).toEqual({ kind: 'stopped' });
    expect(stops).toEqual(['leave']);
  });
});
