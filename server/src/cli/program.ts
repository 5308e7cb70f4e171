import { Command, CommanderError, Option } from 'commander';
import { StartupError } from '../lock/startup-error.js';
import { version } from '../version.js';
import { acceleratorKinds } from '../accelerators/kinds.js';
import { keyValueTypes } from '../models/memory/key-value-type.js';
import { addAcceleratorCommands } from './accelerators/accelerator-commands.js';
import { addAskCommands } from './ask-commands.js';
import { describeFailure } from './describe-failure.js';
import { type ExitCode, exitCodes } from './exit-codes.js';
import { addModelCommands } from './models/model-commands.js';
import { addPlaneCommands } from './plane-commands.js';
import type { SidecarRole } from './sidecar.js';

/**
 * Runs one command line and says with which code the process is to exit.
 *
 * Commands are loaded when they are chosen, so that `hearth status` does not load a daemon.
 *
 * @param role of the sidecar whose command line it is
 */
export async function runCommandLine(args: readonly string[], role?: SidecarRole): Promise<ExitCode> {
  let code: ExitCode = exitCodes.ok;
  const program = buildProgram((outcome) => {
    code = outcome;
  }, role);
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    const failure = describeFailure(error);
    process.stderr.write(`hearth: ${failure.text}\n`);
    return failure.exitCode;
  }
}

function buildProgram(finish: (code: ExitCode) => void, role: SidecarRole | undefined): Command {
  const program = new Command('hearth')
    .description('Keeps one local model warm and lets everything on this machine share it.')
    .version(version)
    .exitOverride()
    .showHelpAfterError('`hearth --help` lists the commands, and `hearth COMMAND --help` what one takes.')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', exitCodeHelp);

  daemonCommand(program, 'serve', 'Run the daemon in the foreground until a signal ends it.').action(
    async (flags: DaemonFlags) => {
      const { serve } = await import('./serve.js');
      finish(await serve(flags));
    },
  );

  const asSidecar = async (flags: DaemonFlags): Promise<void> => {
    switch (role?.kind) {
      case 'holder': {
        const { lead } = await import('./lead.js');
        finish(await lead(flags, role.paths, role.lock));
        break;
      }
      case 'relay': {
        const { daemonConfig } = await import('./daemon-config.js');
        daemonConfig(flags, process.env);
        break;
      }
      case undefined:
        throw new StartupError('config', 'Put the command first, as in `hearth sidecar --runtime-dir DIR`.');
    }
  };
  daemonCommand(
    program,
    'sidecar',
    'Serve one editor over stdio: run the daemon, or relay to the one that already runs.',
  ).action(asSidecar);

  daemonCommand(
    program,
    'lsp',
    'Serve Neovim, Emacs, Helix or any other LSP client over stdio, as `sidecar` does.',
  ).action(asSidecar);

  withRuntimeDir(program.command('generate'))
    .description(
      'Generate text and stream it to the terminal. Starts a daemon for the purpose where none runs.',
    )
    .argument('<prompt>', 'what to ask, as one argument')
    .option('--model <name-or-path>', 'model to use, or to start with where no daemon runs')
    .option('--max-tokens <n>', 'end after so many tokens', wholeNumber)
    .option('--temperature <t>', '0: always the likeliest token', number)
    .option('--seed <n>', 'equal seeds give equal text', wholeNumber)
    .option('--json', 'print the frames of the protocol, one a line')
    .action(async (prompt: string, flags: GenerateFlags) => {
      const { generateCommand } = await import('./generate.js');
      finish(await generateCommand(prompt, flags));
    });

  addAcceleratorCommands(program, finish);
  addModelCommands(program, finish, { wholeNumber, withRuntimeDir });

  withRuntimeDir(program.command('status'))
    .description('Say how the daemon is.')
    .option('--json', 'print the frames of the admin socket, one a line')
    .option('--watch', 'go on printing until the daemon ends')
    .action(async (flags: StatusFlags) => {
      const { status } = await import('./status.js');
      finish(await status(flags));
    });

  withRuntimeDir(program.command('watch'))
    .description('Follow what becomes of the daemon: `status --watch`.')
    .option('--json', 'print the frames of the admin socket, one a line')
    .action(async (flags: StatusFlags) => {
      const { status } = await import('./status.js');
      finish(await status({ ...flags, watch: true }));
    });

  withRuntimeDir(program.command('drain'))
    .description('End the daemon once what runs has finished. Waits for that.')
    .action(async ({ runtimeDir }: { runtimeDir?: string }) => {
      const { drain } = await import('./drain.js');
      finish(await drain(runtimeDir, { now: false }));
    });

  withRuntimeDir(program.command('stop'))
    .description('End the daemon now, and what runs with it.')
    .action(async ({ runtimeDir }: { runtimeDir?: string }) => {
      const { drain } = await import('./drain.js');
      finish(await drain(runtimeDir, { now: true }));
    });

  withRuntimeDir(program.command('doctor'))
    .description('Say in plain words what is wrong and what to do. Exits with 4 when Hearth cannot serve.')
    .option('--json', 'print the findings as one JSON object')
    .action(async (flags: DoctorFlags) => {
      const { doctor } = await import('./doctor/doctor.js');
      finish(await doctor(flags));
    });

  const config = program.command('config').description('Look at the configuration.');
  daemonCommand(config, 'check', 'Check flags, environment and file, and print what they come to.').action(
    async (flags: DaemonFlags) => {
      const { daemonConfig } = await import('./daemon-config.js');
      process.stdout.write(`${JSON.stringify(daemonConfig(flags, process.env), undefined, 2)}\n`);
    },
  );

  addAskCommands(program, finish);
  addPlaneCommands(program, finish);
  return program;
}

/** The flags of `serve`, which `sidecar` shares. Values are checked as configuration, all at once. */
export interface DaemonFlags {
  readonly config?: string;
  readonly mock?: string;
  readonly http?: string | boolean;
  readonly httpAllowRemote?: boolean;
  readonly [flag: string]: unknown;
}

export interface GenerateFlags {
  readonly runtimeDir?: string;
  readonly model?: string;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly seed?: number;
  readonly json?: true;
}

export interface DoctorFlags {
  readonly runtimeDir?: string;
  readonly json?: true;
}

export interface StatusFlags {
  readonly runtimeDir?: string;
  readonly json?: true;
  readonly watch?: true;
}

function daemonCommand(program: Command, name: string, description: string): Command {
  return withRuntimeDir(program.command(name))
    .description(description)
    .option('--config <file>', 'JSON file with any of these settings (names with underscores)')
    .option('--model <name-or-path>', 'name of a model of the store, or path of a GGUF file (default: pilot)')
    .option(
      '--model-sha256 <hex>',
      'what the file of --model must hash to; another one is set aside, unloaded',
    )
    .addOption(new Option('--engine <kind>', 'what generates (default: llama)').choices(['llama', 'mock']))
    .option('--mock <json>', 'knobs of the mock engine, or an array of them')
    .option('--context-size <n>', 'tokens of context for each request (default: from the model)', looseNumber)
    .addOption(
      new Option(
        '--accelerator <kind>',
        'what computes (default: auto, a graphics card where `hearth accelerator add` fetched a build that works)',
      ).choices(['auto', ...acceleratorKinds]),
    )
    .option('--gpu-layers <n>', 'layers for the graphics card (default: as many as fit)', looseNumber)
    .addOption(
      new Option(
        '--kv-type <type>',
        'how the context is kept (default: f16; q8_0 takes half the memory, and a little of the exactness)',
      ).choices(keyValueTypes),
    )
    .option('--tcp <host:port>', 'serve the inference protocol on loopback TCP too; port 0: any free one')
    .option('--tcp-key-env <name>', 'environment variable that holds the key which TCP clients must show')
    .option('--tcp-allow-remote', 'let --tcp listen on an address that other machines reach; needs a key')
    .option(
      '--http [host:port]',
      'serve OpenAI, Anthropic and Ollama clients by HTTP (default: 127.0.0.1:47322)',
    )
    .option('--http-allow-remote', 'let --http listen on an address that other machines reach')
    .option('--active-permits <n>', 'requests that run at once (default: 1)', looseNumber)
    .option('--queue-depth <n>', 'requests that wait behind them (default: 10)', looseNumber)
    .option('--max-loaded-models <n>', 'models that are loaded at once (default: 3)', looseNumber)
    .option(
      '--model-idle-secs <n>',
      'unload a model that nobody has used for so long; 0: never (default: 900)',
      looseNumber,
    )
    .option(
      '--model-stay-secs <n>',
      'keep a loaded model at least so long while others want its room (default: 5)',
      looseNumber,
    )
    .option(
      '--model-patience-secs <n>',
      'after so long without room, have a model in use finish and make it (default: 30)',
      looseNumber,
    )
    .option(
      '--ready-timeout-secs <n>',
      'give up when no model is ready by then; 0: never (default: 30)',
      looseNumber,
    )
    .option(
      '--write-timeout-secs <n>',
      'drop a client that does not read for so long; 0: never (default: 60)',
      looseNumber,
    )
    .option(
      '--drain-timeout-secs <n>',
      'at the end, let running requests finish for so long (default: 10)',
      looseNumber,
    )
    .option(
      '--linger-secs <n>',
      'stay so long after the last client of a sidecar has left (default: 5)',
      looseNumber,
    )
    .option('--state-dir <dir>', 'where durable channels are kept; must be there, and is never made')
    .option(
      '--metrics-port <n>',
      'serve /health, /ready and /metrics on this port of 127.0.0.1; 0: any free one',
      looseNumber,
    )
    .option('--log-dir <dir>', 'where the activity log goes (default: ~/.hearth/logs)');
}

function withRuntimeDir(command: Command): Command {
  return command.option(
    '--runtime-dir <dir>',
    'where sockets and lock are (default: $XDG_RUNTIME_DIR/hearth or ~/.hearth/run)',
  );
}

/** Wrong numbers become NaN, which the configuration's check reports with everything else that is wrong. */
function looseNumber(text: string): number {
  return text.trim() === '' ? Number.NaN : Number(text);
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || Number.isNaN(value))
    throw new StartupError('config', `"${text}" is not a number`);
  return value;
}

function wholeNumber(text: string): number {
  const value = number(text);
  if (!Number.isSafeInteger(value)) throw new StartupError('config', `"${text}" is not a whole number`);
  return value;
}

const exitCodeHelp = `
Exit codes: 0 fine · 1 fault of Hearth's own · 2 wrong flag or configuration · 3 another daemon runs here ·
4 no daemon or no ready model · 5 queue full · 6 not all saved · 130 interrupted`;
