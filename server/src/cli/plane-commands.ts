import type { Command } from 'commander';
import { StartupError } from '../lock/startup-error.js';
import type { ExitCode } from './exit-codes.js';
import type { RegistryFlags } from './registry.js';

/**
 * The commands of the service plane: registry, babysitter and router as processes of their own, with the flags of
 * InfiniLM-SVC (behaviours.md 3). Each is loaded when it is chosen.
 */
export function addPlaneCommands(program: Command, finish: (code: ExitCode) => void): void {
  program
    .command('registry')
    .description('List services: who is there, what they serve, and how they are.')
    .option('--port <n>', 'where to listen', portNumber, 8081)
    .option(
      '--host <address>',
      'IP address to listen on; another than loopback needs --token-env',
      '127.0.0.1',
    )
    .option('--health-interval <s>', 'seconds between two probes of each service', seconds, 30)
    .option('--health-timeout <s>', 'seconds that a probe may take', seconds, 5)
    .option('--cleanup-interval <s>', 'seconds between two sweeps of services that fell silent', seconds, 60)
    .option('--token-env <name>', 'environment variable with the token that services must show')
    .action(async (flags: RegistryFlags) => {
      const { registryCommand } = await import('./registry.js');
      finish(await registryCommand(flags));
    });
}

function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new StartupError('config', `"${text}" is not a port: 0 to 65535`);
}

function seconds(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= 86_400) return value;
  throw new StartupError('config', `"${text}" is not a number of seconds above 0`);
}
