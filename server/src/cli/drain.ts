import { type ExitCode, exitCodes } from './exit-codes.js';
import { askHolder } from './ask-holder.js';
import { ProgressLine } from './daemon-progress.js';
import { findPaths } from './find-paths.js';

/**
 * `hearth drain` and `hearth stop`: end the daemon that runs. `drain` lets running requests finish within the
 * daemon's drain timeout; `stop` ends them now. Both wait for the end, and are done where nothing runs.
 */
export async function drain(
  runtimeDir: string | undefined,
  options: { readonly now: boolean },
): Promise<ExitCode> {
  const paths = findPaths(runtimeDir);
  const holder = await askHolder(paths.rpc);
  if (holder === undefined) {
    process.stdout.write(`hearth: no daemon runs at ${paths.directory}\n`);
    return exitCodes.ok;
  }
  const progress = new ProgressLine();
  progress.show(
    options.now ? 'ending the daemon' : 'letting running requests finish; Ctrl-C leaves them to it',
  );
  const ended = holder.drain();
  if (options.now) await holder.hasten();
  await ended;
  progress.clear();
  process.stdout.write(`hearth: the daemon (process ${String(holder.hello.pid)}) has ended\n`);
  return exitCodes.ok;
}
