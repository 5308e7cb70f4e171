import type { Command } from 'commander';
import { StartupError } from '../lock/startup-error.js';
import type { ApproveFlags } from './approve.js';
import type { ChatFlags } from './chat/chat.js';
import type { EmbedFlags } from './embed.js';
import type { ExitCode } from './exit-codes.js';
import type { McpFlags } from './mcp/mcp.js';
import type { RerankFlags } from './rerank.js';
import type { TokenizeFlags } from './tokenize.js';

/**
 * The commands that ask a model for something, beside `generate`: a conversation, vectors, a ranking, tokens, jobs of agents. Each is
 * loaded when it is chosen, and starts a daemon for itself where none runs.
 */
export function addAskCommands(program: Command, finish: (code: ExitCode) => void): void {
  ask(program, 'chat', 'Hold a conversation in the terminal. /help says what it can do; Ctrl-D ends it.')
    .option('--system <text>', 'what the model is told before everything else')
    .option('--max-tokens <n>', 'end each answer after so many tokens', wholeNumber)
    .option('--temperature <t>', '0: always the likeliest token', number)
    .option('--seed <n>', 'equal seeds give equal text', wholeNumber)
    .action(async (flags: ChatFlags) => {
      const { chatCommand } = await import('./chat/chat.js');
      finish(await chatCommand(flags));
    });

  ask(program, 'embed', 'Vectors for texts: one JSON object a line, in the order of the texts.')
    .argument('[text...]', 'texts; none: the lines of standard input')
    .option('--dimensions <n>', 'cut the vectors to so many numbers', wholeNumber)
    .option('--task <task>', 'what for, such as retrieval_query or retrieval_document')
    .option('--plain', 'print the numbers alone, a vector a line')
    .action(async (texts: readonly string[], flags: EmbedFlags) => {
      const { embedCommand } = await import('./embed.js');
      finish(await embedCommand(texts, flags));
    });

  ask(program, 'rerank', 'Sort the lines of standard input by how well they answer a query, the best first.')
    .argument('<query>', 'what the lines are to answer, as one argument')
    .option('--top <n>', 'print so many lines at most', wholeNumber)
    .option('--json', 'print JSON objects with index, score and document')
    .action(async (query: string, flags: RerankFlags) => {
      const { rerankCommand } = await import('./rerank.js');
      finish(await rerankCommand(query, flags));
    });

  ask(program, 'tokenize', 'The tokens of a text, as the model sees it.')
    .argument('[text]', 'the text; none: standard input')
    .option('--count', 'print how many there are')
    .option('--decode', 'the other way: the text of token numbers')
    .action(async (text: string | undefined, flags: TokenizeFlags) => {
      const { tokenizeCommand } = await import('./tokenize.js');
      finish(await tokenizeCommand(text, flags));
    });

  program
    .command('approve')
    .description(
      'Ask whoever sits at an editor whether something may be done. Exits with 0 for yes, 7 for no.',
    )
    .argument('<what>', 'what is to be done, such as `deploy`')
    .option('--summary <text>', 'a few words on what it would do')
    .option('--timeout <seconds>', 'how long to wait for the answer (default: 120)', wholeNumber)
    .option(
      '--runtime-dir <dir>',
      'where sockets and lock are (default: $XDG_RUNTIME_DIR/hearth or ~/.hearth/run)',
    )
    .action(async (what: string, flags: ApproveFlags) => {
      const { approve } = await import('./approve.js');
      finish(await approve(what, flags));
    });

  ask(program, 'mcp', 'Offer the model to agents: the Model Context Protocol over stdio.').action(
    async (flags: McpFlags) => {
      const { mcp } = await import('./mcp/mcp.js');
      finish(await mcp(flags));
    },
  );
}

function ask(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option('--model <name-or-path>', 'model to use, or to start with where no daemon runs')
    .option(
      '--runtime-dir <dir>',
      'where sockets and lock are (default: $XDG_RUNTIME_DIR/hearth or ~/.hearth/run)',
    );
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && !Number.isNaN(value)) return value;
  throw new StartupError('config', `"${text}" is not a number`);
}

function wholeNumber(text: string): number {
  const value = number(text);
  if (Number.isSafeInteger(value)) return value;
  throw new StartupError('config', `"${text}" is not a whole number`);
}
