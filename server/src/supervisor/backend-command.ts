import { existsSync, realpathSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { StartupError } from '../lock/startup-error.js';
import type { BabysitterConfig, ServiceBackend } from './babysitter-config.js';
import { childEnvironment } from './child-environment.js';
import type { ChildCommand } from './child-group.js';
import { checkBinary, checkExtraArgs, ForbiddenArgument } from './llama-server-args.js';

/**
 * The command that runs a backend: for each type a program and its arguments, each by itself.
 *
 * @throws StartupError `config` for arguments and programs that may not be.
 */
export function backendCommand(config: BabysitterConfig, env: NodeJS.ProcessEnv): ChildCommand {
  const { backend } = config;
  const [program, args] = commandLine(backend, config);
  return { program, args, workDir: backend.work_dir, env: childEnvironment(env, backend.env) };
}

type CommandLine = readonly [program: string, args: readonly string[]];

function commandLine(backend: ServiceBackend, { name, port }: BabysitterConfig): CommandLine {
  // Whatever the service is called by: it listens on loopback.
  const place = ['--port', String(port), '--host', '127.0.0.1'];
  switch (backend.type) {
    case 'command': {
      const [program = '', ...first] = splitCommand(backend.command);
      return [program, [...first, ...backend.args]];
    }
    case 'vllm': {
      const server = ['-m', 'vllm.entrypoints.openai.api_server', '--model', backend.model];
      return ['python3', [...server, ...place, ...backend.args]];
    }
    case 'infinilm':
      return ['python3', ['launch_server.py', ...place, ...backend.args]];
    case 'infinilm-rust':
      return ['xtask', ['service', backend.config_file, '-p', String(port)]];
    case 'mock':
      return [
        process.execPath,
        [
          fileURLToPath(mockEntry()),
          ...['mock-service', '--name', name, '--port', String(port), '--models', backend.models.join(',')],
        ],
      ];
    case 'llama-server':
      return llamaServer(backend, place);
  }
}

function llamaServer(
  backend: Extract<ServiceBackend, { type: 'llama-server' }>,
  place: readonly string[],
): CommandLine {
  try {
    checkExtraArgs(backend.extra_args);
    const program = checkBinary(backend.llama_server_bin, realpathSync);
    return [
      program,
      [
        ...backend.extra_args,
        // Last, so that nothing before them counts.
        ...['--model', backend.model_path, '--n-gpu-layers', String(backend.gpu_layers)],
        ...['--threads', String(backend.n_threads), '--ctx-size', String(backend.context_len)],
        ...['--parallel', String(backend.parallel), ...place],
      ],
    ];
  } catch (cause) {
    if (!(cause instanceof ForbiddenArgument)) throw cause;
    throw new StartupError('config', `babysitter configuration: backend.${cause.message}`, { cause });
  }
}

/** `python3 -m server` is a program and two arguments, as InfiniLM-SVC has it; a path that exists is one program. */
function splitCommand(command: string): readonly string[] {
  if (existsSync(command)) return [command];
  return command.split(/\s+/).filter((part) => part !== '');
}

/** The command line's own entry, which lies beside the bundle that this module is part of. */
function mockEntry(): URL {
  return new URL('./hearth.cjs', import.meta.url);
}
