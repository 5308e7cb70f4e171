import { createHash, randomUUID } from 'node:crypto';
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { errorCode, StartupError } from '../../lock/startup-error.js';
import { Journal, type JournalRecovery } from './journal.js';
import { ShutdownFlushError } from './shutdown-flush-error.js';

/** Where durable channels lie, and which there are. */
export interface DurableOptions {
  /** Must be there and be writable; it is never made. */
  readonly directory: string;
  readonly channels: readonly string[];
  /** Most bytes of one channel on the disk. */
  readonly maxBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** The journals of a daemon. A null one has none: no channel is durable. */
export interface DurableChannels {
  find(channel: string): Journal | undefined;
  /** Brings to the disk what is not there yet, and closes. @throws ShutdownFlushError */
  close(): Promise<void>;
}

export const noDurableChannels: DurableChannels = {
  find: () => undefined,
  close: () => Promise.resolve(),
};

/**
 * Opens the journals of all durable channels.
 *
 * @param onRecovered told what an earlier process left of each
 * @throws StartupError `state_directory` (row 168).
 */
export async function openDurableChannels(
  options: DurableOptions,
  onRecovered: (channel: string, recovery: JournalRecovery) => void,
): Promise<DurableChannels> {
  checkStateDirectory(options.directory);
  const journals = new Map<string, Journal>();
  try {
    for (const channel of options.channels) {
      const { journal, recovery } = await Journal.open({
        // A name is never a path.
        path: path.join(options.directory, `channel-${digestOf(channel)}`),
        channel,
        maxBytes: options.maxBytes,
        now: options.now,
      });
      journals.set(channel, journal);
      onRecovered(channel, recovery);
    }
  } catch (error) {
    await Promise.allSettled([...journals.values()].map(async (journal) => journal.close()));
    throw error;
  }
  return { find: (channel) => journals.get(channel), close: async () => closeAll(journals) };
}

/** @throws StartupError `state_directory` where it is missing, no directory, or not ours to write in (row 168). */
export function checkStateDirectory(directory: string): void {
  try {
    if (!statSync(directory).isDirectory()) throw unusable(directory, 'is not a directory');
    // Tried, not asked: root may write everywhere, but not into a file system that takes nothing.
    const probe = path.join(directory, `.probe-${randomUUID()}`);
    writeFileSync(probe, '', { flag: 'wx', mode: 0o600 });
    rmSync(probe);
  } catch (cause) {
    if (cause instanceof StartupError) throw cause;
    const code = errorCode(cause) ?? 'unknown error';
    const isMissing = code === 'ENOENT' && !existsSync(directory);
    const problem = isMissing ? 'does not exist; make it' : `cannot be written (${code})`;
    throw unusable(directory, problem, cause);
  }
}

async function closeAll(journals: ReadonlyMap<string, Journal>): Promise<void> {
  const names = [...journals.keys()];
  const ends = await Promise.allSettled([...journals.values()].map(async (journal) => journal.close()));
  const failed = names.filter((_name, index) => ends[index]?.status === 'rejected');
  const cause: unknown = ends.find((end) => end.status === 'rejected')?.reason;
  if (failed.length > 0) throw new ShutdownFlushError(failed, { cause });
}

function unusable(directory: string, problem: string, cause?: unknown): StartupError {
  return new StartupError('state_directory', `state_dir: ${directory} ${problem}`, { cause });
}

function digestOf(channel: string): string {
  return createHash('sha256').update(channel).digest('hex').slice(0, 16);
}
