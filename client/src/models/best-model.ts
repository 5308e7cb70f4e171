import { commands, ProgressLocation, window } from 'vscode';
import type { Sidecar } from '../sidecar/sidecar.js';
import { signalOf } from '../vscode-signal.js';
import { bestModelWords, stepWords } from './best-model-words.js';
import { fetchModel, switchTo } from './fetch-model.js';

/** What the button is called that leads to the list of models. */
const chooseAnother = 'Choose Another…';

/**
 * Finds the best model for this machine, which is measured first where nobody has, says in one message what it would be,
 * and at one click fetches it and has it serve. Nothing is fetched before that click.
 *
 * @throws HearthFailure
 */
export async function useBestModel(sidecar: Sidecar): Promise<void> {
  const title = 'Looking for the best model for this machine';
  const best = await window.withProgress(
    { location: ProgressLocation.Notification, title, cancellable: true },
    (progress, token) =>
      sidecar
        .connection()
        .bestModel(({ phase }) => progress.report({ message: stepWords[phase] }), signalOf(token)),
  );
  if (best === undefined) return;
  const { message, button } = bestModelWords(best);
  const buttons = button === undefined ? [chooseAnother] : [button, chooseAnother];
  const choice = await window.showInformationMessage(message, ...buttons);
  if (choice === chooseAnother) await commands.executeCommand('hearth.addModel');
  if (choice === undefined || choice !== button || best.kind !== 'found') return;
  const { name, stored } = best.model;
  if (stored || (await fetchModel(sidecar, name)) !== undefined) await switchTo(sidecar, name);
}
