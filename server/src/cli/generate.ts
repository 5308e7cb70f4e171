import {
  type GenerateRequestInput,
  HearthError,
  type HearthClient,
  type ResponseFrame,
} from '@hearth/protocol';
import { type ExitCode, exitCodes } from './exit-codes.js';
import type { GenerateFlags } from './program.js';
import { onInterrupt } from './signals.js';
import { sayWhatItIs, withClient, write } from './with-client.js';

/**
 * `hearth generate`: asks the daemon that runs, or one that it starts for as long as the answer takes, and streams
 * the answer to standard output. What is not the answer goes to standard error.
 */
export async function generateCommand(prompt: string, flags: GenerateFlags): Promise<ExitCode> {
  const interrupted = onInterrupt();
  return withClient(flags, interrupted, async ({ client, paths, model }) => {
    if (flags.json !== true) await sayWhatItIs(paths);
    await print(client, toRequest(prompt, flags, model), flags.json === true, interrupted);
    return exitCodes.ok;
  });
}

async function print(
  client: HearthClient,
  request: GenerateRequestInput,
  asFrames: boolean,
  signal: AbortSignal,
): Promise<void> {
  for await (const frame of client.frames(request, { signal })) {
    if (asFrames) await write(`${JSON.stringify(frame)}\n`);
    else if (frame.type === 'token') await write(frame.content);
    if (frame.type === 'error') throw new HearthError(frame.code, frame.message);
    if (!asFrames && frame.type === 'done') await finish(frame);
  }
}

async function finish(frame: Extract<ResponseFrame, { type: 'done' }>): Promise<void> {
  if (!frame.content.endsWith('\n')) await write('\n');
  if (frame.stop_reason === 'length')
    process.stderr.write('hearth: the answer was cut off: it reached --max-tokens\n');
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
