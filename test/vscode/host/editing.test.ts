import * as assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { closeEditors, eventually, openEditor, readyHearth } from './support.js';

describe('in an editor', () => {
  afterEach(closeEditors);

  it('ghost text appears and can be accepted', async () => {
    await readyHearth();
    const before = 'export function add(a: number, b: number): number {\n  return ';
    const editor = await openEditor(`${before}\n}\n`, {
      language: 'typescript',
      cursor: new vscode.Position(1, 9),
    });
    await eventually('ghost text was accepted', async () => {
      await vscode.commands.executeCommand('editor.action.inlineSuggest.trigger');
      await new Promise((resolve) => setTimeout(resolve, 400));
      await vscode.commands.executeCommand('editor.action.inlineSuggest.commit');
      return editor.document.lineAt(1).text.trim() !== 'return';
    });
    assert.ok(editor.document.getText().startsWith(before));
  });

  it('ghost text stays away where it is switched off for a language', async () => {
    await readyHearth();
    const settings = vscode.workspace.getConfiguration('hearth', { languageId: 'plaintext' });
    await settings.update('inlineCompletions.enabled', false, vscode.ConfigurationTarget.Global, true);
    try {
      const text = 'function add(a, b) {\n  return ';
      const editor = await openEditor(text, { language: 'plaintext' });
      await vscode.commands.executeCommand('editor.action.inlineSuggest.trigger');
      await new Promise((resolve) => setTimeout(resolve, 1500));
      await vscode.commands.executeCommand('editor.action.inlineSuggest.commit');
      assert.equal(editor.document.getText(), text);
    } finally {
      await settings.update('inlineCompletions.enabled', undefined, vscode.ConfigurationTarget.Global, true);
    }
  });

  it('Continue From Cursor streams into the document as one undo step', async () => {
    await readyHearth();
    const text = 'def add(a, b):\n    return a + b\n\ndef subtract(a, b):\n';
    const editor = await openEditor(text, { language: 'python' });
    await vscode.commands.executeCommand('hearth.continueFromCursor');
    const continued = editor.document.getText();
    assert.ok(continued.startsWith(text));
    assert.ok(continued.length > text.length, 'nothing was written');
    await vscode.commands.executeCommand('undo');
    await eventually('one undo takes it all back', () => editor.document.getText() === text);
  });

  it('Continue From Cursor gives way to a person who types where it writes', async () => {
    const hearth = await readyHearth();
    const editor = await openEditor('x = [1, 2, 3, ', { language: 'python' });
    const continuing = vscode.commands.executeCommand('hearth.continueFromCursor');
    await eventually('it has begun to write', () => editor.document.getText().length > 14);
    await eventually('the person could type between two pieces', () => {
      const end = editor.document.positionAt(editor.document.getText().length);
      return editor.edit((edit) => edit.insert(end, 'MINE'));
    });
    await continuing;
    await eventually('nothing is being generated', () => hearth.streams().length === 0);
    assert.ok(editor.document.getText().endsWith('MINE'), 'it wrote on after the person did');
  });

  it('Ask… streams an answer into a document beside, and says what the model is', async () => {
    const hearth = await readyHearth();
    await vscode.commands.executeCommand('hearth.ask', 'Write a function that adds two numbers.');
    const document = vscode.window.activeTextEditor?.document;
    assert.equal(document?.languageId, 'markdown');
    const text = document.getText();
    assert.ok(text.startsWith('> Write a function that adds two numbers.\n'));
    const state = hearth.state();
    const caution = (state.kind === 'ready' ? state.model.caution : undefined) ?? '';
    const answer = text.slice(text.indexOf('\n', text.indexOf(caution)));
    assert.ok(text.includes(caution));
    assert.ok(answer.trim().length > 0, 'there is no answer');
  });
});
