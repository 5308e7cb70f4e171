import type { Command } from 'commander';

/**
 * Refuses a word where a command below was to stand: commander would count it as an argument too many.
 *
 * @throws CommanderError
 */
export function refuseUnknownCommand(command: Command): void {
  const [word] = command.args;
  if (word !== undefined) command.error(`error: unknown command '${word}'`);
}
