import { embedTasks, HearthError } from '@hearth/protocol';
import { StartupError } from '../lock/startup-error.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { inBatches, readLines } from './read-lines.js';
import { onInterrupt } from './signals.js';
import { type ClientFlags, withClient, write } from './with-client.js';

export interface EmbedFlags extends ClientFlags {
  readonly dimensions?: number;
  readonly task?: string;
  readonly plain?: true;
}

/** Texts of one request: results come while later lines are still read. */
const batchSize = 32;

/** `hearth embed`: texts in, vectors out, one a line. @throws HearthError as the daemon says. */
export async function embedCommand(texts: readonly string[], flags: EmbedFlags): Promise<ExitCode> {
  const task = embedTasks.find((one) => one === flags.task);
  if (flags.task !== undefined && task === undefined) {
    throw new StartupError('config', `--task: must be one of ${embedTasks.join(', ')}`);
  }
  const interrupted = onInterrupt();
  return withClient(flags, interrupted, async ({ client, model }) => {
    let index = 0;
    for await (const input of inBatches(texts.length > 0 ? texts : readLines(process.stdin), batchSize)) {
      const reply = await client.ask(
        {
          type: 'embed',
          events: true,
          input: [...input],
          ...(model === undefined ? {} : { model }),
          ...(task === undefined ? {} : { task }),
          ...(flags.dimensions === undefined ? {} : { dimensions: flags.dimensions }),
        },
        { signal: interrupted },
      );
      if (reply.type !== 'embeddings') throw new HearthError('internal', 'the daemon gave another answer');
      for (const embedding of reply.embeddings) {
        await write(flags.plain ? `${embedding.join(' ')}\n` : `${JSON.stringify({ index, embedding })}\n`);
        index += 1;
      }
    }
    return exitCodes.ok;
  });
}
