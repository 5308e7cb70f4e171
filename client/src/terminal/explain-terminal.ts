import { commands, env } from 'vscode';
import { shortened, terminalSystem } from '../code-commands/code-wishes.js';
import { questionRequest, tooLong } from '../code-commands/question-prompt.js';
import { answerInDocument } from '../commands/answer-document.js';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import { readyModel } from '../sidecar/ready-model.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { endOfOutput } from './terminal-text.js';

/**
 * Explains what is selected in the terminal: the last error in it, where there is one.
 *
 * @throws HearthFailure where nothing is selected, and where no model is ready
 */
export async function explainTerminalSelection(sidecar: Sidecar): Promise<void> {
  const model = readyModel(sidecar);
  const output = endOfOutput(await selectedInTerminal(), Math.floor(model.contextSize * 1.5));
  if (output === '') {
    throw new HearthFailure('Select the output in the terminal that is to be explained, and try again.');
  }
  const question = {
    system: terminalSystem,
    wish: 'Explain the last error in this output.',
    label: 'The end of a terminal’s output:',
    text: output,
  };
  const request = questionRequest(question, model);
  if (request === undefined) throw new HearthFailure(tooLong('What is selected', model));
  await answerInDocument(sidecar, {
    asked: `Explain: ${shortened(output.split('\n').at(-1) ?? '', 200)}`,
    ...request,
    client: 'explain',
  });
}

/**
 * The selection of the active terminal. VS Code's own access to it is not open to extensions, so that it goes by way
 * of the clipboard, which has its text back afterwards.
 */
async function selectedInTerminal(): Promise<string> {
  const before = await env.clipboard.readText();
  await env.clipboard.writeText('');
  try {
    await commands.executeCommand('workbench.action.terminal.copySelection');
    return await env.clipboard.readText();
  } finally {
    await env.clipboard.writeText(before);
  }
}
