import { ProgressLocation, ViewColumn, window, workspace, WorkspaceEdit, type TextDocument } from 'vscode';
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
  const connection = sidecar.connection();
  const state = sidecar.state();
  if (state.kind !== 'ready') return;
  const { model } = state;
  const question =
    given ??
    (await window.showInputBox({
      title: `Ask ${model.displayName}`,
      prompt: 'Your question stays on this machine.',
    }));
  if (question === undefined || question.trim() === '') return;

  const document = await workspace.openTextDocument({
    language: 'markdown',
    content: askHead(question, model),
  });
  await window.showTextDocument(document, { viewColumn: ViewColumn.Beside, preview: false });
  const progress = {
    location: ProgressLocation.Notification,
    title: `Hearth: asking ${model.displayName}`,
    cancellable: true,
  };
  await window.withProgress(progress, async (report, token) => {
    const stop = new AbortController();
    const signal = AbortSignal.any([signalOf(token), stop.signal]);
    const pump = textPump(
      (text) => append(document, text),
      () => stop.abort(),
    );
    let pieces = 0;
    const count = throttled(progressMs, () => report.report({ message: `${pieces} tokens` }));
    const request = {
      model: model.id,
      messages: [{ role: 'user' as const, content: question }],
      max_tokens: Math.min(longestAnswer, Math.floor(model.contextSize / 2)),
    };
    const outcome = await connection.generate(
      { request, client: 'ask' },
      (text) => {
        pump.push(text);
        pieces += 1;
        count.call();
      },
      signal,
    );
    count.dispose();
    const open = await pump.finished();
    if (open) await append(document, foot(outcome.kind, pieces));
  });
}

function foot(outcome: 'done' | 'cancelled', pieces: number): string {
  if (outcome === 'cancelled') return askFoot('cancelled');
  return pieces === 0 ? askFoot('empty') : askFoot('done');
}

/** Appends to a document. False once it was closed. */
async function append(document: TextDocument, text: string): Promise<boolean> {
  if (document.isClosed) return false;
  const end = document.lineAt(document.lineCount - 1).range.end;
  const editor = window.visibleTextEditors.find((candidate) => candidate.document === document);
  if (editor !== undefined) {
    const undoStops = { undoStopBefore: false, undoStopAfter: false };
    if (await editor.edit((edit) => edit.insert(end, text), undoStops)) return true;
  }
  // Behind another tab, or changed in this very moment. Not the first choice: it opens the document anew.
  const edit = new WorkspaceEdit();
  edit.insert(document.uri, end, text);
  return workspace.applyEdit(edit);
}
