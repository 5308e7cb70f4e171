import { HearthError } from '@hearth/protocol';
import { StartupError } from '../lock/startup-error.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { readAll } from './read-lines.js';
import { onInterrupt } from './signals.js';
import { type ClientFlags, withClient, write } from './with-client.js';

export interface TokenizeFlags extends ClientFlags {
  readonly count?: true;
  readonly decode?: true;
}

/** `hearth tokenize`: a text in, numbers out; with `--decode` the other way. @throws HearthError as the daemon says. */
export async function tokenizeCommand(given: string | undefined, flags: TokenizeFlags): Promise<ExitCode> {
  if (flags.count && flags.decode)
    throw new StartupError('config', '--count and --decode: give one of the two');
  const text = given ?? (await readAll(process.stdin));
  const tokens = flags.decode ? parseTokens(text) : [];
  const interrupted = onInterrupt();
  return withClient(flags, interrupted, async ({ client, model }) => {
    const common = { events: true, ...(model === undefined ? {} : { model }) };
    const request = flags.decode
      ? ({ type: 'detokenize', tokens, ...common } as const)
      : ({ type: 'tokenize', content: text, ...common } as const);
    const reply = await client.ask(request, { signal: interrupted });
    if (reply.type === 'text') await write(`${reply.content}\n`);
    else if (reply.type === 'tokens') {
      await write(flags.count ? `${String(reply.tokens.length)}\n` : `${reply.tokens.join(' ')}\n`);
    } else throw new HearthError('internal', 'the daemon gave another answer');
    return exitCodes.ok;
  });
}

function parseTokens(text: string): number[] {
  const words = text.split(/[\s,]+/u).filter((word) => word !== '');
  return words.map((word) => {
    if (/^\d{1,10}$/.test(word)) return Number(word);
    throw new StartupError('config', '--decode: takes token numbers with blanks between them');
  });
}
