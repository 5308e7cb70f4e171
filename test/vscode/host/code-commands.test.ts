import * as assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { closeEditors, eventually, openEditor, readyHearth } from './support.js';

/** The lightbulb and the commit message where the real engine answers. */

describe('the lightbulb', () => {
  afterEach(closeEditors);

  it('offers what can be done about a problem and about a selection, and asks the model nothing for it', async () => {
    const hearth = await readyHearth();
    const editor = await openEditor('let x = y;\n', { language: 'plaintext' });
    const { uri } = editor.document;
    const problems = vscode.languages.createDiagnosticCollection('test');
    const range = new vscode.Range(0, 8, 0, 9);
    problems.set(uri, [new vscode.Diagnostic(range, 'There is no y.')]);
    try {
      // What earlier tests did has been told of.
      await eventually('nothing more comes', async () => {
        const seen = hearth.rows().activity.length;
        await new Promise((resolve) => setTimeout(resolve, 1000));
        return hearth.streams().length === 0 && hearth.rows().activity.length === seen;
      });
      const before = hearth.rows().activity.length;
      const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>(
        'vscode.executeCodeActionProvider',
        uri,
        range,
      );
      const titles = actions.map(({ title }) => title);
      for (const title of [
        'Fix with Hearth: There is no y.',
        'Explain with Hearth: There is no y.',
        'Explain with Hearth',
        'Document with Hearth',
        'Write Tests with Hearth',
        'Edit with Hearth…',
      ])
        assert.ok(titles.includes(title), `${title} is not offered`);
      const fix = actions.find(({ title }) => title.startsWith('Fix with Hearth'));
      assert.ok(fix?.kind && vscode.CodeActionKind.QuickFix.contains(fix.kind));
      assert.equal(fix.edit, undefined);
      assert.equal(hearth.streams().length, 0);
      assert.equal(hearth.rows().activity.length, before);
    } finally {
      problems.dispose();
    }
  });
});

describe('the commands about code', () => {
  const code = 'function add(a, b) {\n  return a + b;\n}\n\n';
  const language = 'javascript';
  let outline: vscode.Disposable;

  before(() => {
    // In place of a language's own extension, so that no server of one has to start.
    outline = vscode.languages.registerDocumentSymbolProvider(
      { language },
      {
        provideDocumentSymbols: () => {
          const range = new vscode.Range(0, 0, 2, 1);
          return [new vscode.DocumentSymbol('add', '', vscode.SymbolKind.Function, range, range)];
        },
      },
    );
  });
  after(() => {
    outline.dispose();
  });
  afterEach(closeEditors);

  const inFunction = async (): Promise<vscode.TextEditor> => {
    const editor = await openEditor(code, { language, cursor: new vscode.Position(1, 4) });
    await eventually(
      'it is the active one',
      () => vscode.window.activeTextEditor?.document === editor.document,
    );
    return editor;
  };
  const answer = (): string => vscode.window.activeTextEditor?.document.getText() ?? '';

  it('explain the function that the cursor is in', async () => {
    await readyHearth();
    await inFunction();
    await vscode.commands.executeCommand('hearth.explain');
    assert.match(answer(), /^> Explain add \(.*, lines 1 to 3\)\n/);
  });

  it('explain a problem', async () => {
    await readyHearth();
    const editor = await inFunction();
    const problem = new vscode.Diagnostic(new vscode.Range(1, 2, 1, 8), 'Unreachable code.');
    await vscode.commands.executeCommand('hearth.explain', { problems: [problem] });
    assert.notEqual(vscode.window.activeTextEditor, editor);
    assert.match(answer(), /^> Explain: Unreachable code\.\n/);
  });

  it('answer a question about the selection', async () => {
    await readyHearth();
    const editor = await inFunction();
    editor.selection = new vscode.Selection(1, 0, 2, 0);
    await vscode.commands.executeCommand('hearth.askAboutSelection', 'What of strings?');
    assert.match(answer(), /^> What of strings\?\n>\s\n> .*, line 2\n/);
  });

  it('write tests into a document of their own', async () => {
    await readyHearth();
    const editor = await inFunction();
    await vscode.commands.executeCommand('hearth.writeTests');
    const tests = vscode.window.activeTextEditor?.document;
    assert.notEqual(tests, editor.document);
    assert.equal(tests?.languageId, language);
  });

  it('document code as a change to be decided, which can be taken back', async () => {
    await readyHearth();
    const editor = await inFunction();
    await vscode.commands.executeCommand('hearth.document');
    await vscode.commands.executeCommand('hearth.rejectInlineEdit');
    await vscode.commands.executeCommand('hearth.closeInlineEdit');
    assert.equal(editor.document.getText(), code);
  });

  it('suggest names, and rename everywhere to the one that is picked', async () => {
    await readyHearth();
    const rename = vscode.languages.registerRenameProvider(
      { language },
      {
        provideRenameEdits: (document, _position, name) => {
          const edit = new vscode.WorkspaceEdit();
          for (const match of document.getText().matchAll(/\ba\b/g)) {
            const start = document.positionAt(match.index);
            edit.replace(document.uri, new vscode.Range(start, start.translate(0, 1)), name);
          }
          return edit;
        },
      },
    );
    try {
      const editor = await openEditor(code, { language, cursor: new vscode.Position(0, 13) });
      const picked = eventually('a name was picked', async () => {
        await vscode.commands.executeCommand('workbench.action.acceptSelectedQuickOpenItem');
        return !/\ba\b/.test(editor.document.getText());
      });
      await Promise.all([vscode.commands.executeCommand('hearth.suggestNames'), picked]);
      const name = /add\((\w+), b\)/.exec(editor.document.getText())?.[1] ?? '';
      assert.match(name, /^[A-Za-z_]\w*$/);
      assert.ok(editor.document.getText().includes(`return ${name} + b`));
    } finally {
      rename.dispose();
    }
  });
});

/** What of the Git extension's interface is used here. */
interface GitExtension {
  getAPI(version: 1): {
    openRepository(root: vscode.Uri): Promise<{ readonly inputBox: { value: string } } | null>;
  };
}

describe('Generate Commit Message', () => {
  let folder: string;
  const git = (...args: readonly string[]): void => {
    const who = ['-c', 'user.name=Somebody', '-c', 'user.email=somebody@example.com'];
    execFileSync('git', [...who, ...args], { cwd: folder });
  };

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'hearth-git-'));
    git('init', '--quiet');
    writeFileSync(join(folder, 'add.ts'), 'export const add = (a: number, b: number) => a - b;\n');
    git('add', '.');
    git('commit', '--quiet', '--message', 'Begin');
    writeFileSync(join(folder, 'add.ts'), 'export const add = (a: number, b: number) => a + b;\n');
    // Far more than the context of the model has room for.
    writeFileSync(join(folder, 'long.txt'), 'a line of a long file\n'.repeat(20_000));
    git('add', '.');
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('is held to Conventional Commits by the setting, for a change larger than the context', async () => {
    await readyHearth();
    const repository = await repositoryOf(folder);
    const rootUri = vscode.Uri.file(folder);
    const settings = vscode.workspace.getConfiguration('hearth');
    await settings.update('commitMessage.format', 'conventional', vscode.ConfigurationTarget.Global);
    try {
      await vscode.commands.executeCommand('hearth.generateCommitMessage', { rootUri });
      assert.match(
        repository.inputBox.value,
        /^(build|chore|ci|docs|feat|fix|perf|refactor|revert|style|test)(\([a-z0-9_./-]{1,20}\))?!?: [a-zA-Z0-9].{1,70}/,
      );
    } finally {
      await settings.update('commitMessage.format', undefined, vscode.ConfigurationTarget.Global);
    }
  });

  it('leaves the box to whoever writes into it meanwhile', async () => {
    const hearth = await readyHearth();
    const { inputBox } = await repositoryOf(folder);
    const rootUri = vscode.Uri.file(folder);
    // A small model may have written all that it has to say before anybody could write anything.
    for (let attempt = 0; attempt < 8 && inputBox.value !== 'MINE'; attempt += 1) {
      inputBox.value = '';
      const writing = vscode.commands.executeCommand('hearth.generateCommitMessage', { rootUri });
      const end = { came: false };
      void writing.then(() => {
        end.came = true;
      });
      await eventually('something is in the box', () => inputBox.value !== '' || end.came);
      if (!end.came) inputBox.value = 'MINE';
      await writing;
    }
    assert.equal(inputBox.value, 'MINE');
    await eventually('nothing is being generated', () => hearth.streams().length === 0);
  });
});

/** A repository as the Git extension has it. */
async function repositoryOf(folder: string): Promise<{ readonly inputBox: { value: string } }> {
  const extension = vscode.extensions.getExtension<GitExtension>('vscode.git');
  assert.ok(extension);
  const api = (await extension.activate()).getAPI(1);
  return eventually('the repository is open', async () => {
    return (await api.openRepository(vscode.Uri.file(folder))) ?? undefined;
  });
}
