import { type Command, Option } from 'commander';
import { keyValueTypes } from '../../models/memory/key-value-type.js';
import type { ExitCode } from '../exit-codes.js';
import { refuseUnknownCommand } from '../unknown-command.js';
import type { FitFlags } from './fit.js';
import type { ImportFlags } from './import.js';
import type { PullFlags } from './pull.js';

/** How a value of the command line is read. */
export type ReadNumber = (text: string) => number;

/** Adds the commands about models: `pull`, `import`, `models`, `verify` and `rm`. */
export function addModelCommands(
  program: Command,
  finish: (code: ExitCode) => void,
  { wholeNumber, withRuntimeDir }: { wholeNumber: ReadNumber; withRuntimeDir: (command: Command) => Command },
): void {
  program
    .command('pull')
    .description(
      'Fetch a model into the store. Stopped or broken off, the same command goes on where it was.',
    )
    .argument(
      '<model>',
      'a name from `hearth models recommend`, hf:owner/repository/file.gguf, or an https address',
    )
    .option('--name <name>', 'name in the store (default: made of the file name)')
    .option('--sha256 <hex>', 'what the file must hash to; another one is set aside')
    .option('--token-env <name>', 'environment variable with the token for the source (default: HF_TOKEN)')
    .option('--allow-host <host>', 'let files come from this host too; may be given again', collect)
    .option('--json', 'print the record of the model as one JSON object')
    .action(async (model: string, flags: PullFlags) => {
      const { pullCommand } = await import('./pull.js');
      finish(await pullCommand(model, flags));
    });

  program
    .command('import')
    .description(
      'Take over a GGUF file, or what LM Studio, Ollama and Hugging Face have fetched, without copying.',
    )
    .argument('[file]', 'a .gguf file; without one, whatever can be found')
    .option('--name <name>', 'name in the store, for a file')
    .option('--dry-run', 'only say what was found')
    .option('--json', 'print what became of each file as one JSON array')
    .action(async (file: string | undefined, flags: ImportFlags) => {
      const { importCommand } = await import('./import.js');
      finish(await importCommand(file, flags));
    });

  const models = program
    .command('models')
    .description('List the models of the store and what each can do.')
    .option('--json', 'print the records as one JSON object')
    .allowExcessArguments()
    .action(async (flags: { json?: true }, command: Command) => {
      refuseUnknownCommand(command);
      const { listCommand } = await import('./list.js');
      finish(await listCommand(flags));
    });
  models
    .command('recommend')
    .description(
      'Say which models suit this machine, by how fast it was measured to be and what memory is free.',
    )
    .option('--measure', 'measure again')
    .option('--json', 'print everything as one JSON object')
    .action(async (_own: unknown, command: Command) => {
      const { recommendCommand } = await import('./recommend.js');
      finish(await recommendCommand(command.optsWithGlobals()));
    });
  models
    .command('fit')
    .description('Say what a model takes in memory, before it is loaded.')
    .argument('<name-or-path>', 'name of a model, or path of a GGUF file')
    .option('--context-size <n>', 'tokens of context for each request (default: chosen)', wholeNumber)
    .option('--active-permits <n>', 'requests that run at once (default: 1)', wholeNumber)
    .addOption(
      new Option('--kv-type <type>', 'how the context is kept (default: f16)').choices(keyValueTypes),
    )
    .option('--json', 'print the figures in bytes as one JSON object')
    .action(async (nameOrPath: string, _own: unknown, command: Command) => {
      const { fitCommand } = await import('./fit.js');
      finish(await fitCommand(nameOrPath, command.optsWithGlobals<FitFlags>()));
    });

  program
    .command('verify')
    .description(
      'Read every byte of a model, or of all, and compare with what it should be. Exits with 4 if one is bad.',
    )
    .argument('[name]', 'name of a model of the store')
    .option('--json', 'print what is said of each as one JSON array')
    .action(async (name: string | undefined, flags: { json?: true }) => {
      const { verifyCommand } = await import('./verify.js');
      finish(await verifyCommand(name, flags));
    });

  withRuntimeDir(program.command('rm'))
    .description('Remove a model from the store, unless any daemon of yours has it loaded.')
    .argument('<name>', 'name of a model of the store')
    .option('--force', 'remove it even where a daemon has it loaded')
    .action(async (name: string, flags: { runtimeDir?: string; force?: true }) => {
      const { removeCommand } = await import('./remove.js');
      finish(await removeCommand(name, flags));
    });
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
