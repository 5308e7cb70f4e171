import type { HearthClient } from '@hearth/protocol';
import { connect, ConnectError } from '@hearth/protocol/node';
import type { RuntimePaths } from '../lock/runtime-directory.js';
import { resolveModel } from '../models/resolve-model.js';
import { askHealth } from './ask-health.js';
import { ProgressLine } from './daemon-progress.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { findPaths } from './find-paths.js';
import { TemporaryDaemon, waitForReadyFrame } from './temporary-daemon.js';

/** What commands share that ask a daemon for something. */
export interface ClientFlags {
  readonly runtimeDir?: string;
  readonly model?: string;
}

/** A daemon that can be asked. */
export interface Attached {
  readonly client: HearthClient;
  readonly paths: RuntimePaths;
  /** The model to name in requests; undefined: the daemon has just the one that is meant. */
  readonly model: string | undefined;
}

/**
 * Runs `work` with a client of the daemon that runs, or of one that is started for as long as it takes. What is not
 * the answer goes to standard error.
 *
 * @param interrupted ends the wait for a daemon; `work` has to heed it itself
 */
export async function withClient(
  flags: ClientFlags,
  interrupted: AbortSignal,
  work: (attached: Attached) => Promise<ExitCode>,
): Promise<ExitCode> {
  const paths = findPaths(flags.runtimeDir);
  const progress = new ProgressLine();
  let own: TemporaryDaemon | undefined;
  let client: HearthClient | undefined;
  try {
    client = await attach(paths, progress, interrupted);
    // A running daemon knows its models by id; one of our own has just the one that was asked for.
    const model =
      client === undefined || flags.model === undefined ? undefined : (await resolveModel(flags.model)).id;
    if (client === undefined) {
      progress.show('no daemon runs here: starting one for as long as this takes');
      own = new TemporaryDaemon(paths, flags.model === undefined ? [] : ['--model', flags.model]);
      await own.ready(paths, progress, interrupted);
      client = await connect({ path: paths.inference }, { signal: interrupted });
    }
    progress.clear();
    return await work({ client, paths, model });
  } catch (error) {
    if (interrupted.aborted) return exitCodes.interrupted;
    throw error;
  } finally {
    progress.clear();
    client?.close();
    await own?.stop();
  }
}

/** Says what the model is, where someone would expect an assistant. Never keeps anybody from his answer. */
export async function sayWhatItIs(paths: RuntimePaths): Promise<void> {
  const health = await askHealth(paths).catch(() => undefined);
  const model = health?.backends.find(({ state }) => state.kind === 'ready')?.model;
  if (model?.caution === undefined) return;
  const wayOut = 'For a bigger one: --model /path/to/model.gguf';
  process.stderr.write(`hearth: ${model.displayName}. ${model.caution} ${wayOut}\n`);
}

/** Writes at the pace of whoever reads our output. */
export async function write(text: string): Promise<void> {
  if (process.stdout.write(text)) return;
  await new Promise((resolve) => process.stdout.once('drain', resolve));
}

/** A client of the daemon that runs, waited for where it is still starting; undefined where none runs. */
export async function attach(
  paths: RuntimePaths,
  progress: ProgressLine,
  signal: AbortSignal,
): Promise<HearthClient | undefined> {
  const client = await connectNow(paths, signal);
  if (client !== undefined) return client;
  try {
    await waitForReadyFrame(paths, progress, signal, { timeoutMs: 0 });
  } catch (error) {
    if (error instanceof ConnectError) return undefined;
    throw error;
  }
  return connect({ path: paths.inference }, { signal });
}

async function connectNow(paths: RuntimePaths, signal: AbortSignal): Promise<HearthClient | undefined> {
  try {
    return await connect({ path: paths.inference }, { signal, timeoutMs: 0 });
  } catch (error) {
    if (error instanceof ConnectError) return undefined;
    throw error;
  }
}
