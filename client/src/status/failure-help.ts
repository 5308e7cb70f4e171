import { commands } from 'vscode';
import type { FailureHelp } from '../sidecar/hearth-connection.js';

/** What helps against a failure, as a button: its title, and the commands that it runs in turn. */
export interface HelpAction {
  readonly title: string;
  readonly commands: readonly (readonly [command: string, ...given: unknown[]])[];
}

/** Makes the document that is being edited writeable until the window is closed: VS Code's own command. */
const unlock = ['workbench.action.files.setActiveEditorWriteableInSession'] as const;

const actions: Readonly<Record<FailureHelp, HelpAction>> = {
  choose_model: {
    title: 'Choose a Model',
    commands: [['hearth.chooseModel']],
  },
  restart: { title: 'Restart', commands: [['hearth.restartSidecar']] },
  unlock: { title: 'Unlock', commands: [unlock] },
  unlock_and_retry: { title: 'Unlock and Retry', commands: [unlock, ['hearth.retryInlineEdit']] },
};

/** The buttons for a failure, the best first. */
export function helpActions(help: readonly FailureHelp[]): readonly HelpAction[] {
  return help.map((one) => actions[one]);
}

/** Does what was clicked. */
export async function runHelp(action: HelpAction): Promise<void> {
  for (const [command, ...given] of action.commands) await commands.executeCommand(command, ...given);
}
