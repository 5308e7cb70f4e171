import type {
  ActivityRecord,
  DaemonChannel,
  EngineEvent,
  Health,
  MetricsBody,
  ModelsBody,
  StatusBody,
} from '@hearth/protocol';
import type { EventEmitter } from 'node:events';
import type { DaemonEvents } from '../daemon-api.js';
import type { ChannelSource, Message } from './hub.js';
import { throttle } from './throttle.js';

/** What the daemon's own channels tell of. Bodies hold counts, states and names of ours: no content and no path. */

/** Where the daemon's own channels get what they tell. */
export interface DaemonView {
  readonly events: EventEmitter<DaemonEvents>;
  health(): Health;
  recentActivity(): readonly ActivityRecord[];
  /** Calls back for each engine event; gives what ends it. */
  onEngineEvent(listener: (event: EngineEvent) => void): () => void;
  connections(): StatusBody['connections'];
  metrics(): MetricsBody;
}

/** Least time between two messages of a channel, in milliseconds. */
const intervalMs = { status: 100, models: 100, metrics: 1000 } as const;

/**
 * @param mostRecords records of the activity log that a new listener is told, at most: fewer than its inbox takes
 */
export function daemonSources(
  view: DaemonView,
  mostRecords: number,
): Readonly<Record<DaemonChannel, ChannelSource>> {
  return {
    status: stateSource(view, 'status', ['health', 'connections'], () => statusOf(view)),
    models: stateSource(view, 'models', ['health'], () => modelsOf(view.health())),
    metrics: stateSource(view, 'metrics', ['health', 'streams', 'connections'], () => view.metrics()),
    engine: {
      latestOnly: false,
      present: () => [],
      start: (publish) =>
        view.onEngineEvent((event) => {
          publish(toMessage(event));
        }),
    },
    activity: {
      latestOnly: false,
      present: () => view.recentActivity().slice(-mostRecords).map(toMessage),
      start: (publish) => {
        const append = (record: ActivityRecord): void => {
          publish(toMessage(record));
        };
        view.events.on('activity', append);
        return () => view.events.off('activity', append);
      },
    },
  };
}

/** A state: told as it is, then after each change of it, and no more often than its interval. */
function stateSource(
  view: DaemonView,
  channel: 'status' | 'models' | 'metrics',
  changes: readonly ('health' | 'streams' | 'connections')[],
  read: () => object,
): ChannelSource {
  return {
    latestOnly: true,
    present: () => [toMessage(read())],
    start: (publish) => {
      let told = identity(read());
      const { notify, dispose } = throttle(intervalMs[channel], () => {
        const body = read();
        const now = identity(body);
        if (now !== told) publish(toMessage(body));
        told = now;
        return Promise.resolve();
      });
      for (const change of changes) view.events.on(change, notify);
      return () => {
        for (const change of changes) view.events.off(change, notify);
        dispose();
      };
    },
  };
}

/** Uptime changes always, and is no change worth telling. */
function identity(body: object): string {
  return JSON.stringify({ ...body, uptime_ms: 0 });
}

function toMessage(body: object): Message {
  const json = JSON.stringify(body);
  return { json, bytes: Buffer.byteLength(json) };
}

function statusOf(view: DaemonView): StatusBody {
  const { state, version, pid, uptimeMs, backends, admission } = view.health();
  return {
    state,
    version,
    pid,
    uptime_ms: uptimeMs,
    backends: backends.map(({ name, state: { kind }, breaker, model, tokensPerSecond }) => ({
      name,
      state: kind,
      breaker,
      ...(model === undefined ? {} : { model: model.id }),
      ...(tokensPerSecond === undefined ? {} : { tokens_per_second: tokensPerSecond }),
    })),
    admission: {
      active_permits: admission.activePermits,
      permits_in_use: admission.permitsInUse,
      queue_depth: admission.queueDepth,
      queued: admission.queued,
    },
    connections: view.connections(),
  };
}

function modelsOf({ backends }: Health): ModelsBody {
  return {
    models: backends.map(({ name, state: { kind }, model }) => ({
      backend: name,
      state: kind,
      ...(model === undefined
        ? {}
        : {
            id: model.id,
            display_name: model.displayName,
            context_size: model.contextSize,
            size_bytes: model.sizeBytes,
            infill: model.infill,
          }),
    })),
  };
}
