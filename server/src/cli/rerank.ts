import { HearthError, limits } from '@hearth/protocol';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { readLines } from './read-lines.js';
import { onInterrupt } from './signals.js';
import { type ClientFlags, withClient, write } from './with-client.js';

export interface RerankFlags extends ClientFlags {
  readonly top?: number;
  readonly json?: true;
}

/** `hearth rerank`: lines in, the same lines out, the best first. @throws HearthError as the daemon says. */
export async function rerankCommand(query: string, flags: RerankFlags): Promise<ExitCode> {
  const documents: string[] = [];
  for await (const line of readLines(process.stdin)) {
    if (documents.length === limits.rerankDocuments) {
      const most = String(limits.rerankDocuments);
      throw new HearthError('invalid_request', `more than ${most} lines: one ranking takes ${most}`);
    }
    documents.push(line);
  }
  if (documents.length === 0) return exitCodes.ok;
  const interrupted = onInterrupt();
  return withClient(flags, interrupted, async ({ client, model }) => {
    const reply = await client.ask(
      {
        type: 'rerank',
        events: true,
        query,
        documents,
        ...(model === undefined ? {} : { model }),
        ...(flags.top === undefined ? {} : { top_n: flags.top }),
      },
      { signal: interrupted },
    );
    if (reply.type !== 'rerank') throw new HearthError('internal', 'the daemon gave another answer');
    for (const { index, score } of reply.results) {
      const document = documents[index] ?? '';
      await write(
        flags.json ? `${JSON.stringify({ index, score, document })}\n` : `${score.toFixed(4)}\t${document}\n`,
      );
    }
    return exitCodes.ok;
  });
}
