import { commands, ProgressLocation, Uri, ViewColumn, window, workspace, type TextDocument } from 'vscode';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import { readyModel } from '../sidecar/ready-model.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { fencedCode } from '../streaming/fenced-code.js';
import { streamIntoEditor } from '../streaming/stream-into-editor.js';
import { textPump } from '../streaming/text-pump.js';
import { waitNews } from '../streaming/wait-news.js';
import { signalOf } from '../vscode-signal.js';
import { around, type CodeTarget } from './code-target.js';
import { moreTestsInstruction, testsBelowInstruction, testsSystem } from './code-wishes.js';
import { questionRequest, tooLong } from './question-prompt.js';
import { testPlace } from './test-place.js';

/**
 * Writes tests for a piece of code: where its language has them, which is the file itself as an inline edit, or a new
 * document beside it that has the name such a file usually has and is not saved yet.
 *
 * @throws HearthFailure
 */
export async function writeTests(sidecar: Sidecar, target: CodeTarget): Promise<void> {
  const { document, range } = target;
  const place = testPlace(document.uri.path.split('/').at(-1) ?? '', document.languageId);
  switch (place.kind) {
    case 'more':
      await commands.executeCommand('hearth.editInline', { instruction: moreTestsInstruction, range });
      return;
    case 'below':
      await commands.executeCommand('hearth.editInline', { instruction: testsBelowInstruction, range });
      return;
    case 'beside':
      await writeBeside(sidecar, target, place.name);
  }
}

async function writeBeside(sidecar: Sidecar, target: CodeTarget, name: string | undefined): Promise<void> {
  const { document, range } = target;
  const model = readyModel(sidecar);
  const file = document.uri.path.split('/').at(-1) ?? '';
  const request = questionRequest(
    {
      system: testsSystem,
      wish: `Write unit tests for this code. It is in the file ${file}; import it from there.`,
      label: `The code, in ${document.languageId}:`,
      text: document.getText(range),
      around: around(target),
    },
    model,
  );
  if (request === undefined) throw new HearthFailure(tooLong('This code', model));
  const connection = sidecar.connection();
  const editor = await window.showTextDocument(await testDocument(document, name), {
    viewColumn: ViewColumn.Beside,
    preview: false,
  });
  const stop = new AbortController();
  const stream = streamIntoEditor(editor);
  const progress = {
    location: ProgressLocation.Notification,
    title: `Hearth: writing tests with ${model.displayName}`,
    cancellable: true,
  };
  try {
    await window.withProgress(progress, async (report, token) => {
      const signal = AbortSignal.any([signalOf(token), stop.signal]);
      const pump = textPump(stream.write, () => stop.abort());
      const code = fencedCode();
      const push = (text: string): void => {
        if (text !== '') pump.push(text);
      };
      await connection.generate(
        { request: { ...request, model: model.id, events: true }, client: 'tests' },
        (text) => push(code.push(text)),
        signal,
        waitNews((message) => report.report({ message })),
      );
      push(code.end());
      await pump.finished();
    });
  } finally {
    stream.dispose();
  }
}

/** An empty document for tests of `of`: under the usual name, unless there is such a file already. */
async function testDocument(of: TextDocument, name: string | undefined): Promise<TextDocument> {
  const uri = name === undefined || of.isUntitled ? undefined : Uri.joinPath(of.uri, '..', name);
  if (uri === undefined || (await isThere(uri)))
    return workspace.openTextDocument({ language: of.languageId });
  const open = await workspace.openTextDocument(uri.with({ scheme: 'untitled' }));
  return open.getText() === '' ? open : workspace.openTextDocument({ language: of.languageId });
}

async function isThere(uri: Uri): Promise<boolean> {
  return workspace.fs.stat(uri).then(
    () => true,
    () => false,
  );
}
