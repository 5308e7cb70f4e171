import {
  type GenerateRequestInput,
  HearthError,
  type HearthClient,
  type ResponseFrame,
} from '@hearth/protocol';
import { connect, ConnectError } from '@hearth/protocol/node';
import type { RuntimePaths } from '../lock/runtime-directory.js';
import { resolveModel } from '../models/resolve-model.js';
import { askHealth } from './ask-health.js';
import { ProgressLine } from './daemon-progress.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { findPaths } from './find-paths.js';
import type { GenerateFlags } from './program.js';
import { onInterrupt } from './signals.js';
import { TemporaryDaemon, waitForReadyFrame } from './temporary-daemon.js';

/**
 * `hearth generate`: asks the daemon that runs, or one that it starts for as long as the answer takes, and streams
 * the answer to standard output. What is not the answer goes to standard error.
 */
export async function generateCommand(prompt: string, flags: GenerateFlags): Promise<ExitCode> {
  const paths = findPaths(flags.runtimeDir);
  const interrupted = onInterrupt();
  const progress = new ProgressLine();
  let own: TemporaryDaemon | undefined;
  try {
    let client = await attach(paths, progress, interrupted);
    // A running daemon knows its models by id; one of our own has just the one that was asked for.
    const model =
      client === undefined || flags.model === undefined ? undefined : (await resolveModel(flags.model)).id;
    if (client === undefined) {
      progress.show('no daemon runs here: starting one for this answer');
      own = new TemporaryDaemon(paths, flags.model === undefined ? [] : ['--model', flags.model]);
      await own.ready(paths, progress, interrupted);
      client = await connect({ path: paths.inference }, { signal: interrupted });
    }
    progress.clear();
    if (flags.json !== true) await sayWhatItIs(paths);
    await print(client, toRequest(prompt, flags, model), flags.json === true, interrupted);
    return exitCodes.ok;
  } catch (error) {
    if (interrupted.aborted) return exitCodes.interrupted;
    throw error;
  } finally {
    progress.clear();
    await own?.stop();
  }
}

/** Says what the model is, where someone would expect an assistant. Never keeps anybody from his answer. */
async function sayWhatItIs(paths: RuntimePaths): Promise<void> {
  const health = await askHealth(paths).catch(() => undefined);
  const model = health?.backends.find(({ state }) => state.kind === 'ready')?.model;
  if (model?.caution === undefined) return;
  const wayOut = 'For a bigger one: --model /path/to/model.gguf';
  process.stderr.write(`hearth: ${model.displayName}. ${model.caution} ${wayOut}\n`);
}

/** A client of the daemon that runs, waited for where it is still starting; undefined where none runs. */
async function attach(
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

async function print(
  client: HearthClient,
  request: GenerateRequestInput,
  asFrames: boolean,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const frame of client.frames(request, { signal })) {
      if (asFrames) await write(`${JSON.stringify(frame)}\n`);
      else if (frame.type === 'token') await write(frame.content);
      if (frame.type === 'error') throw new HearthError(frame.code, frame.message);
      if (!asFrames && frame.type === 'done') await finish(frame);
    }
  } finally {
    client.close();
  }
}

async function finish(frame: Extract<ResponseFrame, { type: 'done' }>): Promise<void> {
  if (!frame.content.endsWith('\n')) await write('\n');
  if (frame.stop_reason === 'length')
    process.stderr.write('hearth: the answer was cut off: it reached --max-tokens\n');
}

/** Writes at the pace of whoever reads our output. */
async function write(text: string): Promise<void> {
  if (process.stdout.write(text)) return;
  await new Promise((resolve) => process.stdout.once('drain', resolve));
}

function toRequest(prompt: string, flags: GenerateFlags, model: string | undefined): GenerateRequestInput {
  return {
    messages: [{ role: 'user', content: prompt }],
    ...(model === undefined ? {} : { model }),
    ...(flags.maxTokens === undefined ? {} : { max_tokens: flags.maxTokens }),
    ...(flags.temperature === undefined ? {} : { temperature: flags.temperature }),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
  };
}
