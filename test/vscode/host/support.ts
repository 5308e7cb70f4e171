/// <reference types="mocha" />
import * as assert from 'node:assert/strict';
import * as vscode from 'vscode';
import type { HearthExtensionApi } from '../../../client/src/api.js';

/** As the manifest has them: publisher and name. */
const extensionId = 'hearth.hearth';

/** The extension's own interface, once the extension is active. */
export async function activeHearth(): Promise<HearthExtensionApi> {
  const extension = vscode.extensions.getExtension<HearthExtensionApi>(extensionId);
  assert.ok(extension, `${extensionId} is not installed`);
  return extension.activate();
}

/** The extension with a model that is ready. */
export async function readyHearth(): Promise<HearthExtensionApi> {
  const hearth = await activeHearth();
  await hearth.whenReady();
  return hearth;
}

/** Looks until `look` gives something, and returns it. Fails with `what` after a minute and a half. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | PromiseLike<T | undefined | false>,
): Promise<T> {
  const until = Date.now() + 90_000;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > until) throw new Error(`It did not come to this: ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** A new document in an editor, with the cursor at `cursor`, or at its end. */
export async function openEditor(
  content: string,
  options: { readonly language: string; readonly cursor?: vscode.Position },
): Promise<vscode.TextEditor> {
  const document = await vscode.workspace.openTextDocument({ language: options.language, content });
  const editor = await vscode.window.showTextDocument(document, { preview: false });
  // VS Code gives the names of closed documents again, and for a moment also what stood in them.
  await eventually('the document holds its text', () => document.getText() === content);
  const cursor = options.cursor ?? document.positionAt(content.length);
  editor.selection = new vscode.Selection(cursor, cursor);
  return editor;
}

/** Closes every editor, and throws away what is in them. */
export async function closeEditors(): Promise<void> {
  while (vscode.window.activeTextEditor !== undefined) {
    await vscode.commands.executeCommand('workbench.action.revertAndCloseActiveEditor');
  }
}

/** The model as VS Code's chat has it. */
export async function chatModel(): Promise<vscode.LanguageModelChat> {
  return eventually('the chat model is offered', async () => {
    const [model] = await vscode.lm.selectChatModels({ vendor: 'hearth' });
    return model;
  });
}

/** A whole PNG: VS Code looks at images before it passes them on. */
export const onePixel = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==',
  'base64',
);

/** What a tool answers, as an agent gets it. */
export async function invokeTool(
  name: string,
  input: object,
  token?: vscode.CancellationToken,
): Promise<string> {
  const result = await vscode.lm.invokeTool(name, { input, toolInvocationToken: undefined }, token);
  return result.content
    .map((part) => (part instanceof vscode.LanguageModelTextPart ? part.value : ''))
    .join('');
}
