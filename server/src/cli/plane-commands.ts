import { type Command, Option } from 'commander';
import { StartupError } from '../lock/startup-error.js';
import type { ExitCode } from './exit-codes.js';
import type { BabysitFlags } from './babysit.js';
import type { RegistryFlags } from './registry.js';
import type { RouterFlags } from './router.js';

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

  program
    .command('babysit')
    .description("Run one service, keep it running, and keep it on the registry's list.")
    .option('--config-file <file>', 'TOML file; flags are stronger')
    .option('--name <name>', 'name on the list (default: type and port)')
    .option('--host <host>', 'where the service listens (default: localhost)')
    .option('--port <n>', 'port of the service; the babysitter answers on the next one', portNumber)
    .option('--service-type <type>', 'command, vllm, infinilm, infinilm-rust, mock or llama-server')
    .option('--path <path>', 'model or configuration of the service, as its type has it')
    .option('--command <command>', 'program to run, with arguments separated by spaces; no shell')
    .option('--args <args>', 'more arguments, separated by spaces')
    .option('--work-dir <dir>', 'where the service runs')
    .option('--env <NAME=value...>', 'variables of the service')
    .option('--registry-url <url>', 'registry to be listed at')
    .option('--router-url <url>', 'taken for compatibility; the router finds services by the registry')
    .option('--max-restarts <n>', 'restarts in a whole life, each after --restart-delay', wholeNumber)
    .option('--restart-delay <s>', 'seconds before each restart', looseSeconds)
    .option('--heartbeat-interval <s>', 'seconds between two heartbeats (default: 30)', seconds)
    .action(async (flags: BabysitFlags) => {
      const { babysitCommand } = await import('./babysit.js');
      finish(await babysitCommand(flags));
    });

  program
    .command('router')
    .description('Pass requests on to the services that a registry lists, by model, session and load.')
    .option('--router-port <n>', 'where to listen', portNumber, 8080)
    .option(
      '--host <address>',
      'IP address to listen on; another than loopback needs --token-env',
      '127.0.0.1',
    )
    .option('--registry-url <url>', 'registry to find services by')
    .option('--static-services <file>', 'JSON file of services that are always there')
    .option('--health-interval <s>', 'seconds between two probes of each service', seconds, 30)
    .option('--health-timeout <s>', 'seconds that a probe may take', seconds, 5)
    .option('--max-errors <n>', 'failures in a row that make a service unhealthy', wholeNumber, 3)
    .option(
      '--registry-sync-interval <s>',
      'seconds between two looks at a registry without news',
      seconds,
      10,
    )
    .option(
      '--service-removal-grace-period <s>',
      'seconds that an unlisted service is kept',
      looseSeconds,
      60,
    )
    .addOption(
      new Option('--balance <way>', 'who serves where nothing else decides')
        .choices(['round-robin', 'least-outstanding', 'prefix'])
        .default('round-robin'),
    )
    .addOption(
      new Option(
        '--session-affinity <of>',
        'requests that stay together: of a prompt_cache_key, of a client too',
      )
        .choices(['key', 'client', 'off'])
        .default('key'),
    )
    .option('--trust-forwarded-for', 'let X-Forwarded-For say who the client is')
    .option('--idle-timeout <s>', 'seconds of silence that end an answer', seconds, 300)
    .option('--body-limit-bytes <n>', 'largest request', wholeNumber, 32 * 1024 * 1024)
    .option('--token-env <name>', 'environment variable with the token that clients must show')
    .option('--registry-token-env <name>', 'environment variable with the token of the registry')
    .action(async (flags: RouterFlags) => {
      const { routerCommand } = await import('./router.js');
      finish(await routerCommand(flags));
    });

  // What a babysitter runs for a backend of type `mock`; nobody else has a use for it.
  program
    .command('mock-service', { hidden: true })
    .requiredOption('--name <name>')
    .requiredOption('--port <n>', '', portNumber)
    .requiredOption('--models <names>')
    .action(async (flags: { name: string; port: number; models: string }) => {
      const { mockServiceCommand } = await import('./babysit.js');
      finish(await mockServiceCommand(flags));
    });
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new StartupError('config', `"${text}" is not a whole number`);
}

function looseSeconds(text: string): number {
  return text === '0' ? 0 : seconds(text);
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
