import { ConnectionLostError, type HearthClient } from '@hearth/protocol';
import { connect } from '@hearth/protocol/node';
import type { RuntimePaths } from '../../lock/runtime-directory.js';
import { ProgressLine } from '../daemon-progress.js';
import { TemporaryDaemon } from '../temporary-daemon.js';
import { attach } from '../with-client.js';

/** A connection to the daemon that is made when it is needed first, and made anew where it is lost. */
export interface DaemonLink {
  /**
   * Gives `work` a client of the daemon that runs, or of one that is started and lives as long as this link.
   *
   * @throws NotReadyError where no daemon can be had, with what it said; what `work` throws; the signal's reason
   */
  readonly use: <T>(signal: AbortSignal, work: (client: HearthClient) => Promise<T>) => Promise<T>;
  /** Leaves the daemon, and ends it where it was started here. */
  readonly close: () => Promise<void>;
}

/** @param model To start a daemon with, where none runs */
export function daemonLink(paths: RuntimePaths, model: string | undefined): DaemonLink {
  const life = new AbortController();
  let own: TemporaryDaemon | undefined;
  let opening: Promise<HearthClient> | undefined;

  const open = async (): Promise<HearthClient> => {
    const progress = new ProgressLine();
    try {
      const running = await attach(paths, progress, life.signal);
      if (running !== undefined) return running;
      await own?.stop();
      life.signal.throwIfAborted();
      own = new TemporaryDaemon(paths, model === undefined ? [] : ['--model', model]);
      await own.ready(paths, progress, life.signal);
      return await connect({ path: paths.inference }, { signal: life.signal });
    } finally {
      progress.clear();
    }
  };
  /** Shared by all who ask meanwhile; a failure is not kept, so that the next call tries again. */
  const reach = (): Promise<HearthClient> => {
    if (opening !== undefined) return opening;
    const made = open();
    opening = made;
    made.catch(() => {
      if (opening === made) opening = undefined;
    });
    return made;
  };

  return {
    use: async (signal, work) => {
      const reached = reach();
      const client = await unlessAborted(reached, signal);
      try {
        return await work(client);
      } catch (error) {
        if (error instanceof ConnectionLostError && opening === reached) {
          opening = undefined;
          client.close();
        }
        throw error;
      }
    },
    close: async () => {
      life.abort();
      await opening?.then(
        (client) => client.close(),
        () => undefined,
      );
      await own?.stop();
    },
  };
}

/** What `promise` gives, unless the signal comes first. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let abort = (): void => undefined;
  const aborted = new Promise<'aborted'>((resolve) => {
    abort = () => resolve('aborted');
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    const first = await Promise.race([promise.then((value) => ({ value })), aborted]);
    if (first !== 'aborted') return first.value;
    throw signal.reason;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
