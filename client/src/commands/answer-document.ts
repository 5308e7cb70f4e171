import { Disposable, ProgressLocation, ViewColumn, window, workspace, type TextDocument } from 'vscode';
import { readyModel } from '../sidecar/ready-model.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { textPump } from '../streaming/text-pump.js';
import { waitNews } from '../streaming/wait-news.js';
import { throttled } from '../throttled.js';
import { signalOf } from '../vscode-signal.js';
import { askFoot, askHead } from './ask-document.js';

/** Least time between two counts in the progress message, in milliseconds. */
const progressMs = 250;

/** A question to the model whose answer is to be read. */
export interface Question {
  /** What stands above the answer, as a quotation. */
  readonly asked: string;
  readonly messages: { role: 'system' | 'user'; content: string }[];
  /** Most tokens of the answer. */
  readonly max_tokens: number;
  /** As the Streams view shows it. */
  readonly client: string;
}

/**
 * Streams the answer to a question into a new document beside the editor. Closing the document stops the engine.
 *
 * @throws HearthFailure where no model is ready, and as the daemon says
 */
export async function answerInDocument(sidecar: Sidecar, question: Question): Promise<void> {
  const model = readyModel(sidecar);
  const connection = sidecar.connection();
  // Empty, and filled once it is shown: VS Code opens a tab of its own for text that is nowhere to be seen.
  const document = await workspace.openTextDocument({ language: 'markdown' });
  await window.showTextDocument(document, { viewColumn: ViewColumn.Beside, preview: false });
  const stop = new AbortController();
  const pump = textPump(
    (text) => append(document, text),
    () => stop.abort(),
  );
  pump.push(askHead(question.asked, model));
  const { messages, max_tokens, client } = question;
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
      return await connection.generate(
        { request: { model: model.id, messages, max_tokens, events: true }, client },
        onText,
        signal,
        waitNews((message) => report.report({ message })),
      );
    } finally {
      count.dispose();
    }
  });
  if (await pump.finished()) await append(document, foot(outcome.kind, pieces));
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
