import type { ModelInfo } from '@hearth/protocol';
import { Disposable, ProgressLocation, ViewColumn, window, workspace, type TextDocument } from 'vscode';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { textPump } from '../streaming/text-pump.js';
import { throttled } from '../throttled.js';
import { signalOf } from '../vscode-signal.js';
import { askFoot, askHead } from './ask-document.js';

/** Most tokens of one answer; never more than half of the model's context. */
const longestAnswer = 1024;

/** Least time between two counts in the progress message, in milliseconds. */
const progressMs = 250;

/**
 * Asks the model and streams its answer into a new document beside the editor.
 *
 * @param given The question where the caller has one; else the person is asked.
 */
export async function ask(sidecar: Sidecar, given?: string): Promise<void> {
  const model = readyModel(sidecar);
  const question =
    given ??
    (await window.showInputBox({
      title: `Ask ${model.displayName}`,
      prompt: 'Your question stays on this machine.',
    }));
  if (question === undefined || question.trim() === '') return;

  // Not before the question is there: a sidecar may have come and gone meanwhile.
  const connection = sidecar.connection();
  // Empty, and filled once it is shown: VS Code opens a tab of its own for text that is nowhere to be seen.
  const document = await workspace.openTextDocument({ language: 'markdown' });
  await window.showTextDocument(document, { viewColumn: ViewColumn.Beside, preview: false });
  const stop = new AbortController();
  const pump = textPump(
    (text) => append(document, text),
    () => stop.abort(),
  );
  pump.push(askHead(question, model));
  const request = {
    model: model.id,
    messages: [{ role: 'user' as const, content: question }],
    max_tokens: Math.min(longestAnswer, Math.floor(model.contextSize / 2)),
  };
  const progress = {
    location: ProgressLocation.Notification,
    title: `Hearth: asking ${model.displayName}`,
    cancellable: true,
  };
  let pieces = 0;
  const outcome = await window.withProgress(progress, async (report, token) => {
    const count = throttled(progressMs, () => report.report({ message: `${pieces} tokens` }));
    const onText = (text: string): void => {
      pump.push(text);
      pieces += 1;
      count.call();
    };
    const signal = AbortSignal.any([signalOf(token), stop.signal]);
    try {
      return await connection.generate({ request, client: 'ask' }, onText, signal);
    } finally {
      count.dispose();
    }
  });
  if (await pump.finished()) await append(document, foot(outcome.kind, pieces));
}

/** @throws HearthFailure where none is ready */
function readyModel(sidecar: Sidecar): ModelInfo {
  sidecar.connection();
  const state = sidecar.state();
  if (state.kind !== 'ready') throw new HearthFailure('Hearth is not ready.');
  return state.model;
}

function foot(outcome: 'done' | 'cancelled', pieces: number): string {
  if (outcome === 'cancelled') return askFoot('cancelled');
  return pieces === 0 ? askFoot('empty') : askFoot('done');
}

/** Edits that may fail in a row because somebody typed in the very moment. */
const attempts = 20;

/** Appends to a document: when it is shown, and not before. False once it was closed. */
async function append(document: TextDocument, text: string): Promise<boolean> {
  for (let failed = 0; failed < attempts && !document.isClosed;) {
    const editor = window.visibleTextEditors.find((candidate) => candidate.document === document);
    if (editor === undefined) {
      // An edit of a document behind another tab would open a second tab for it.
      await shownOrClosed(document);
      continue;
    }
    const end = document.lineAt(document.lineCount - 1).range.end;
    const undoStops = { undoStopBefore: false, undoStopAfter: false };
    const applied = await editor
      .edit((edit) => edit.insert(end, text), undoStops)
      .then(
        (done) => done,
        () => false,
      );
    if (applied) return true;
    failed += 1;
  }
  return false;
}

async function shownOrClosed(document: TextDocument): Promise<void> {
  await new Promise<void>((resolve) => {
    const listeners = Disposable.from(
      window.onDidChangeVisibleTextEditors((editors) => {
        if (editors.some((editor) => editor.document === document)) end();
      }),
      workspace.onDidCloseTextDocument((closed) => {
        if (closed === document) end();
      }),
    );
    function end(): void {
      listeners.dispose();
      resolve();
    }
  });
}
