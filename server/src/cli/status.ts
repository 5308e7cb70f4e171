import type { AdminFrame, StatusBody } from '@hearth/protocol';
import { ConnectError, watchAdmin, watchStatus } from '@hearth/protocol/node';
import type { RuntimePaths } from '../lock/runtime-directory.js';
import { NotReadyError } from '../router/ready-gate.js';
import { describeProgress } from './daemon-progress.js';
import { describeHealth } from './describe-health.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { findPaths } from './find-paths.js';
import { askHealth } from './ask-health.js';
import { silenceMs, silentText } from './open-rpc.js';
import { onInterrupt } from './signals.js';
import type { StatusFlags } from './program.js';

/**
 * `hearth status`: what the admin socket says, once, or with `--watch` until the daemon ends (row 171). Exits with
 * 4 where no daemon runs, so that a script can ask.
 */
export async function status(flags: StatusFlags): Promise<ExitCode> {
  const paths = findPaths(flags.runtimeDir);
  const interrupted = onInterrupt();
  let last: AdminFrame['status'] | undefined;
  // A daemon that has been stopped takes connections and says nothing.
  const silence = new AbortController();
  const late = setTimeout(() => silence.abort(), silenceMs);
  const signal = AbortSignal.any([interrupted, silence.signal]);
  const ended = new AbortController();
  let following: Promise<void> | undefined;
  try {
    for await (const frame of watchAdmin(paths.admin, { signal, timeoutMs: 0 })) {
      clearTimeout(late);
      last = frame.status;
      if (flags.json === true) process.stdout.write(`${JSON.stringify(frame)}\n`);
      else await show(frame, paths);
      if (flags.watch === true && flags.json !== true && frame.status === 'ready')
        following ??= follow(paths, AbortSignal.any([interrupted, ended.signal]));
      // Capabilities come first; the state that follows them is the last of the snapshot (row 50).
      if (flags.watch !== true && frame.status !== 'capabilities') break;
    }
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    process.stderr.write(`hearth: no daemon runs at ${paths.directory}: start one with \`hearth serve\`\n`);
    return exitCodes.notReady;
  } finally {
    clearTimeout(late);
    ended.abort();
    await following;
  }
  if (silence.signal.aborted) throw new NotReadyError(silentText);
  if (flags.watch === true) return interrupted.aborted ? exitCodes.interrupted : exitCodes.ok;
  return last === 'ready' ? exitCodes.ok : exitCodes.notReady;
}

/** Says how busy the daemon is, now and whenever that changes; the admin socket tells the rest. */
async function follow(paths: RuntimePaths, signal: AbortSignal): Promise<void> {
  let last: string | undefined;
  try {
    for await (const body of watchStatus(paths.inference, signal)) {
      const text = describeLoad(body);
      if (text !== last) process.stdout.write(`${text}\n`);
      last = text;
    }
  } catch (error) {
    // It has gone meanwhile, which the admin socket tells.
    if (!(error instanceof ConnectError) && !signal.aborted) throw error;
  }
}

function describeLoad({ state, backends, admission }: StatusBody): string {
  const broken = backends.filter((one) => one.state !== 'ready' || one.breaker !== 'closed');
  return [
    state,
    `${String(admission.permits_in_use)} of ${String(admission.active_permits)} running`,
    `${String(admission.queued)} waiting`,
    ...broken.map((one) => `${one.name}: ${one.state}, breaker ${one.breaker.replace('_', ' ')}`),
  ].join(' · ');
}

async function show(frame: AdminFrame, paths: RuntimePaths): Promise<void> {
  const health = frame.status === 'ready' ? await askHealth(paths) : undefined;
  const text = health === undefined ? describeProgress(frame) : describeHealth(health);
  if (text !== undefined) process.stdout.write(`${text}\n`);
}
