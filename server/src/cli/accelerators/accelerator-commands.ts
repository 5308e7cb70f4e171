import { type Command, Option } from 'commander';
import { fetchedKinds } from '../../accelerators/kinds.js';
import type { ExitCode } from '../exit-codes.js';
import { refuseUnknownCommand } from '../unknown-command.js';

export interface AddFlags {
  readonly registry?: string;
  readonly allowHost?: readonly string[];
}

/** Adds `hearth accelerator` and what is below it. */
export function addAcceleratorCommands(program: Command, finish: (code: ExitCode) => void): void {
  const accelerator = program
    .command('accelerator')
    .description('Fetch, list and remove the builds of the engine for graphics cards.');
  accelerator
    .command('list', { isDefault: true })
    .description('Say which builds are there, which can be fetched, and whether they work here.')
    .option('--json', 'print everything as one JSON object')
    .allowExcessArguments()
    .action(async (flags: { json?: true }, command: Command) => {
      refuseUnknownCommand(command);
      const { listAccelerators } = await import('./list.js');
      finish(await listAccelerators(flags));
    });
  accelerator
    .command('add')
    .description(
      'Fetch the build for a kind of card from the npm registry. Stopped, the same command goes on.',
    )
    .argument('<kind>', fetchedKinds.join(' or '))
    .addOption(
      new Option('--registry <url>', 'npm registry to fetch from (default: that of npm)').env(
        'npm_config_registry',
      ),
    )
    .option(
      '--allow-host <host>',
      'let the registry send elsewhere to this host; may be given again',
      collect,
    )
    .action(async (kind: string, flags: AddFlags) => {
      const { addCommand } = await import('./add.js');
      finish(await addCommand(kind, flags));
    });
  accelerator
    .command('remove')
    .description('Remove a build. Models that run go on with it until they are loaded again.')
    .argument('<kind>', fetchedKinds.join(' or '))
    .action(async (kind: string) => {
      const { removeAccelerator } = await import('./remove.js');
      finish(await removeAccelerator(kind));
    });
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
