import { commands, ProgressLocation, window, type TextEditor } from 'vscode';
import { lockedFailure } from '../locked-document.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { streamIntoEditor } from '../streaming/stream-into-editor.js';
import { textPump } from '../streaming/text-pump.js';
import { waitNews } from '../streaming/wait-news.js';
import { signalOf } from '../vscode-signal.js';
import { continuationPrompt } from './continuation-prompt.js';

/** Most tokens of one continuation; never more than a quarter of the model's context. */
const longestContinuation = 256;

/** The continuation that runs, if one does: there is one at a time, and Escape ends it. */
let running: AbortController | undefined;

/** Streams the model's continuation into the editor at its cursor, as one undo step. @throws HearthFailure */
export async function continueFromCursor(sidecar: Sidecar): Promise<void> {
  const editor = window.activeTextEditor;
  if (editor === undefined) {
    void window.showInformationMessage('Open a document and place the cursor where the text is to go on.');
    return;
  }
  const connection = sidecar.connection();
  const state = sidecar.state();
  if (state.kind !== 'ready') return;
  running?.abort();
  const stop = new AbortController();
  running = stop;
  await commands.executeCommand('setContext', 'hearth.continuing', true);
  const stream = streamIntoEditor(editor);
  try {
    const request = {
      model: state.model.id,
      ...continuationPrompt(sidesOf(editor), state.model),
      max_tokens: Math.min(longestContinuation, Math.floor(state.model.contextSize / 4)),
      events: true,
    };
    const progress = {
      location: ProgressLocation.Notification,
      title: `Hearth: continuing with ${state.model.displayName}`,
      cancellable: true,
    };
    await window.withProgress(progress, async (report, token) => {
      const signal = AbortSignal.any([signalOf(token), stop.signal]);
      const pump = textPump(stream.write, () => stop.abort());
      await connection.generate(
        { request, client: 'continue' },
        pump.push,
        signal,
        waitNews((message) => report.report({ message })),
      );
      await pump.finished();
    });
    if (stream.locked()) throw lockedFailure('unlock');
  } finally {
    stream.dispose();
    if (running === stop) {
      running = undefined;
      await commands.executeCommand('setContext', 'hearth.continuing', false);
    }
  }
}

/** Ends the continuation that runs. */
export function stopContinuing(): void {
  running?.abort();
}

function sidesOf({ document, selection }: TextEditor): { before: string; after: string } {
  const text = document.getText();
  const cursor = document.offsetAt(selection.active);
  return { before: text.slice(0, cursor), after: text.slice(cursor) };
}
