import type { Daemon } from '../daemon.js';
import { daemonConfig, writeFirstConfig } from './daemon-config.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { findPaths, takeLock } from './find-paths.js';
import { makeDaemon } from './open-daemon.js';
import type { DaemonFlags } from './program.js';
import { stopOnSignals } from './signals.js';

/** `hearth serve`: the daemon in the foreground, until a signal ends it. */
export async function serve(flags: DaemonFlags): Promise<ExitCode> {
  const config = daemonConfig(flags, process.env);
  const paths = findPaths(config.runtime_dir);
  const lock = await takeLock(paths);
  let daemon: Daemon | undefined;
  try {
    writeFirstConfig(flags, process.env);
    daemon = await makeDaemon(config, paths, lock);
  } finally {
    if (daemon === undefined) lock.release();
  }
  const stopped = stopOnSignals(daemon);
  if (config.engine === 'mock' || config.backends?.some(({ kind }) => kind === 'mock') === true)
    process.stderr.write('hearth: the mock engine serves: fixed tokens, no model.\n');
  if (config.write_timeout_secs === 0) {
    process.stderr.write(
      'hearth: --write-timeout-secs 0: a client that never reads can hold its slot for ever.\n',
    );
  }
  try {
    await daemon.start();
  } catch (error) {
    const wasStopped = daemon.isStopping;
    await daemon.stop();
    if (wasStopped) return exitCodes.ok;
    throw error;
  }
  process.stdout.write(`hearth: ready\nhearth: inference socket ${paths.inference}\n`);
  const { tcpAddress } = daemon;
  if (daemon.metricsUrl !== undefined)
    process.stdout.write(`hearth: health and metrics ${daemon.metricsUrl}\n`);
  if (tcpAddress !== undefined) process.stdout.write(`hearth: inference tcp ${tcpAddress}\n`);
  const { gateway } = daemon.health();
  if (gateway !== undefined) {
    const where = gateway.tokenFile === undefined ? 'the environment' : gateway.tokenFile;
    process.stdout.write(`hearth: http ${gateway.url} (token in ${where})\n`);
  }
  await Promise.race([stopped.done, daemon.stopped]);
  if (daemon.flushFailure !== undefined) throw daemon.flushFailure;
  return exitCodes.ok;
}
