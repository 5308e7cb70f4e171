import {
  ActivityAppended,
  GhostTextTold,
  HealthChanged,
  StreamsChanged,
  type ActivityRecord,
  type GhostTextOutcome,
  type Health,
  type SubscribeRequest,
} from '@hearth/protocol';
import type { MessageConnection } from 'vscode-jsonrpc';
import * as z from 'zod';
import type { DaemonApi } from '../../daemon-api.js';
import { throttle } from '../../channels/throttle.js';

type Channel = SubscribeRequest.Channel;

export const subscribeSchema = z.object({
  channels: z.array(z.enum(['health', 'streams', 'activity', 'ghost_text'])).max(4),
});

/** Least time between two messages of a channel, in milliseconds. */
const intervalMs = { health: 100, streams: 200, activity: 100, ghost_text: 50 } as const satisfies Record<
  Channel,
  number
>;
/** Most activity records held for a peer that reads slowly; older ones are dropped. */
const mostRecords = 500;
/** Most outcomes of ghost text held for such a peer. */
const mostOutcomes = 50;

/** What one connection wants to hear of. */
export interface Subscriptions {
  /** Begins a channel, with its present state first. A channel that has begun already is left as it is. */
  readonly add: (channel: Channel) => void;
  /** Tells what became of a trigger for ghost text, where the peer wants to hear of that. */
  readonly told: (outcome: GhostTextOutcome) => void;
  readonly dispose: () => void;
}

export function createSubscriptions(connection: MessageConnection, daemon: DaemonApi): Subscriptions {
  const begin: Record<Channel, () => () => void> = {
    health: () =>
      onChange(
        'health',
        () => daemon.health(),
        withoutUptime,
        (health) => connection.sendNotification(HealthChanged.type, health),
      ),
    streams: () =>
      onChange(
        'streams',
        () => daemon.streams(),
        JSON.stringify,
        (streams) => connection.sendNotification(StreamsChanged.type, { streams }),
      ),
    activity: () => activity(),
    ghost_text: () => ghostText(),
  };
  const ends = new Map<Channel, () => void>();
  let told = (_outcome: GhostTextOutcome): void => {};

  /** Sends `read()` after each event of `channel`, unless it says what was sent last. */
  function onChange<T>(
    channel: 'health' | 'streams',
    read: () => T,
    identity: (value: T) => string,
    send: (value: T) => Promise<void>,
  ): () => void {
    let sent: string | undefined;
    const { notify, dispose } = throttle(intervalMs[channel], async () => {
      const value = read();
      const current = identity(value);
      if (current === sent) return;
      sent = current;
      await send(value);
    });
    daemon.events.on(channel, notify);
    notify();
    return () => {
      daemon.events.off(channel, notify);
      dispose();
    };
  }

  function activity(): () => void {
    let waiting: ActivityRecord[] = [...daemon.recentActivity()];
    const { notify, dispose } = throttle(intervalMs.activity, async () => {
      const records = waiting;
      waiting = [];
      await connection.sendNotification(ActivityAppended.type, { records });
    });
    const append = (record: ActivityRecord): void => {
      waiting.push(record);
      if (waiting.length > mostRecords) waiting.shift();
      notify();
    };
    daemon.events.on('activity', append);
    notify();
    return () => {
      daemon.events.off('activity', append);
      dispose();
    };
  }

  function ghostText(): () => void {
    let waiting: GhostTextOutcome[] = [];
    const { notify, dispose } = throttle(intervalMs.ghost_text, async () => {
      const outcomes = waiting;
      waiting = [];
      await connection.sendNotification(GhostTextTold.type, { outcomes });
    });
    told = (outcome) => {
      waiting.push(outcome);
      if (waiting.length > mostOutcomes) waiting.shift();
      notify();
    };
    return dispose;
  }

  return {
    told: (outcome) => told(outcome),
    add: (channel) => {
      if (!ends.has(channel)) ends.set(channel, begin[channel]());
    },
    dispose: () => {
      for (const end of ends.values()) end();
      ends.clear();
    },
  };
}

/** Uptime changes always, and is no change worth telling. */
function withoutUptime(health: Health): string {
  return JSON.stringify({ ...health, uptimeMs: 0 });
}
