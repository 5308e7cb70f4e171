import type { Daemon } from '../daemon.js';
import type { KernelLock } from '../lock/kernel-lock.js';
import type { RuntimePaths } from '../lock/runtime-directory.js';
import { daemonConfig, writeFirstConfig } from './daemon-config.js';
import { describeFailure } from './describe-failure.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { makeDaemon } from './open-daemon.js';
import type { DaemonFlags } from './program.js';
import { stopOnSignals } from './signals.js';

/** Is the daemon, for the editor at the other end of stdio and for everybody else, until nobody uses it. */
export async function lead(flags: DaemonFlags, paths: RuntimePaths, lock: KernelLock): Promise<ExitCode> {
  let daemon: Daemon | undefined;
  let lingerMs: number;
  try {
    const config = daemonConfig(flags, process.env);
    writeFirstConfig(flags, process.env);
    lingerMs = config.linger_secs * 1000;
    daemon = await makeDaemon(config, paths, lock);
  } finally {
    if (daemon === undefined) lock.release();
  }
  const stopping = stopOnSignals(daemon);
  const editor = daemon.attachRpc(process.stdin, process.stdout);
  void editor.closed
    .then(() => daemon.unusedFor(lingerMs))
    .then(() => {
      stopping.stop();
    });
  daemon.start().catch((error: unknown) => {
    // Stays, so that the editor can ask for the reason and show it.
    if (!daemon.isStopping) daemon.fail(describeFailure(error).text);
  });
  await Promise.race([stopping.done, daemon.stopped]);
  if (daemon.flushFailure !== undefined) throw daemon.flushFailure;
  return exitCodes.ok;
}
