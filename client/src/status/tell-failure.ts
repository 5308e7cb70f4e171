import { window, type LogOutputChannel } from 'vscode';
import type { HearthFailure } from '../sidecar/hearth-connection.js';
import { helpActions, runHelp } from './failure-help.js';

const showLog = 'Show Log';

/** Shows why a command came to nothing, with what helps as buttons, and logs it. Resolves once a button has done its work. */
export async function tellFailure(
  { message, code, help }: HearthFailure,
  log: LogOutputChannel,
): Promise<void> {
  log.warn(code === undefined ? message : `${code}: ${message}`);
  const actions = helpActions(help);
  const choice = await window.showErrorMessage(message, ...actions.map(({ title }) => title), showLog);
  if (choice === showLog) log.show(true);
  const action = actions.find(({ title }) => title === choice);
  if (action !== undefined) await runHelp(action);
}
