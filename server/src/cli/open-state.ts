import path from 'node:path';
import { openDurableChannels } from '../channels/durable/durable-channels.js';
import type { JournalRecovery } from '../channels/durable/journal.js';
import type { Config } from '../config/config.js';
import type { KeptState } from '../daemon.js';

/** What outlives the daemon; undefined where there is no state directory. @throws StartupError `state_directory` */
export async function openState(config: Config): Promise<KeptState | undefined> {
  if (config.state_dir === undefined) return undefined;
  const recovered = new Map<string, JournalRecovery>();
  const durable = await openDurableChannels(
    {
      directory: path.resolve(config.state_dir),
      channels: config.durable_channels ?? [],
      maxBytes: config.durable_max_bytes,
      now: Date.now,
    },
    (channel, recovery) => recovered.set(channel, recovery),
  );
  return { durable, recovered };
}
