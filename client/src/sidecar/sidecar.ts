import { EventEmitter } from 'node:events';
import type { ActivityRecord, Health, StreamInfo } from '@hearth/protocol';
import { appendActivity } from './activity-history.js';
import { HearthFailure, type HearthConnection } from './hearth-connection.js';
import type { SessionListener, SidecarSession } from './session.js';
import type { SidecarState } from './state.js';
import { createSupervisor } from './supervisor.js';

export interface SidecarEvents {
  state: [state: SidecarState];
  /** {@link Sidecar.health} has changed. */
  health: [];
  /** {@link Sidecar.streams} has changed. */
  streams: [];
  /** {@link Sidecar.activity} has changed. */
  activity: [];
}

/** The sidecar as the editor's features see it: what is known of it, and how to ask it for something. */
export interface Sidecar {
  readonly events: EventEmitter<SidecarEvents>;
  readonly state: () => SidecarState;
  /** Undefined while no sidecar speaks. */
  readonly health: () => Health | undefined;
  readonly streams: () => readonly StreamInfo[];
  /** Oldest first; at most 500. Outlives a restart. */
  readonly activity: () => readonly ActivityRecord[];
  /** @throws HearthFailure that says what to wait for or what to do, where no model is ready. */
  readonly connection: () => HearthConnection;
  /** Resolves once a model is ready; rejects with a {@link HearthFailure} where that has failed for good. */
  readonly whenReady: () => Promise<void>;
  readonly start: () => void;
  readonly restart: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** @param launch Starts one session; may need time to load its own code. */
export function createSidecar(launch: (listener: SessionListener) => SidecarSession): Sidecar {
  const events = new EventEmitter<SidecarEvents>();
  events.setMaxListeners(0);
  let health: Health | undefined;
  let streams: readonly StreamInfo[] = [];
  let activity: readonly ActivityRecord[] = [];

  const supervisor = createSupervisor<SidecarSession>({
    launch: (onHealth) => {
      const session = launch({
        onHealth: (next) => {
          health = next;
          onHealth(next);
          events.emit('health');
        },
        onStreams: (next) => {
          streams = next;
          events.emit('streams');
        },
        onActivity: (records, replayed) => {
          activity = appendActivity(activity, records, replayed);
          events.emit('activity');
        },
      });
      void session.ended.then(() => {
        health = undefined;
        streams = [];
        events.emit('health');
        events.emit('streams');
      });
      return session;
    },
    wait: (ms, signal) =>
      new Promise((resolve) => {
        const timer = setTimeout(done, ms);
        function done(): void {
          clearTimeout(timer);
          resolve();
        }
        signal.addEventListener('abort', done, { once: true });
      }),
    now: () => performance.now(),
  });
  supervisor.events.on('state', (state) => events.emit('state', state));

  return {
    events,
    state: supervisor.state,
    health: () => health,
    streams: () => streams,
    activity: () => activity,
    connection: () => {
      const session = supervisor.session();
      const state = supervisor.state();
      if (session !== undefined && state.kind === 'ready') return session;
      throw whyNotReady(state);
    },
    whenReady: () =>
      new Promise((resolve, reject) => {
        const look = (state: SidecarState): void => {
          if (state.kind !== 'ready' && state.kind !== 'failed') return;
          events.off('state', look);
          if (state.kind === 'ready') resolve();
          else reject(whyNotReady(state));
        };
        events.on('state', look);
        look(supervisor.state());
      }),
    start: supervisor.start,
    restart: supervisor.restart,
    stop: supervisor.stop,
  };
}

/** Why no model answers in this state, and what helps. */
function whyNotReady(state: SidecarState): HearthFailure {
  switch (state.kind) {
    case 'starting':
    case 'loading':
    case 'ready':
      return new HearthFailure(
        'Hearth is still loading its model. Try again when the status bar says that it is ready.',
      );
    case 'restarting':
      return new HearthFailure(`Hearth is restarting: ${asSentence(state.reason)} Try again in a moment.`);
    case 'failed':
      return new HearthFailure(
        `Hearth has no model to answer with. ${asSentence(state.reason)} "Hearth: Restart Sidecar" tries again; the setting hearth.model names another model.`,
        undefined,
        ['choose_model', 'restart'],
      );
    case 'stopped':
      return new HearthFailure('Hearth is stopped. "Hearth: Restart Sidecar" starts it.', undefined, [
        'restart',
      ]);
  }
}

function asSentence(reason: string): string {
  return reason.replace(/\.?$/, '.');
}
