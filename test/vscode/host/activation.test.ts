import * as assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { activeHearth, readyHearth } from './support.js';

describe('activation', () => {
  it('takes less than 50 ms of its own time', async () => {
    const { elapsedMs, processorMs } = (await activeHearth()).activation;
    assert.ok(
      Math.min(elapsedMs, processorMs) < 50,
      `it took ${elapsedMs} ms, ${processorMs} ms of the processor`,
    );
  });

  it('leads to a ready model', async () => {
    const hearth = await readyHearth();
    const state = hearth.state();
    assert.ok(state.kind === 'ready' && state.model.contextSize > 0);
    assert.ok(hearth.health()?.socketPath);
  });

  it('registers every command of the manifest', async () => {
    const registered = new Set(await vscode.commands.getCommands(true));
    const manifest = vscode.extensions.getExtension('hearth.hearth')?.packageJSON as {
      contributes: { commands: { command: string }[] };
    };
    for (const { command } of manifest.contributes.commands) assert.ok(registered.has(command), command);
  });

  it('brings the licence, the corpus and the limits of the model that comes with it', async () => {
    const extension = vscode.extensions.getExtension('hearth.hearth');
    assert.ok(extension !== undefined);
    const read = async (...place: string[]): Promise<string> =>
      new TextDecoder().decode(
        await vscode.workspace.fs.readFile(vscode.Uri.joinPath(extension.extensionUri, ...place)),
      );
    const pilot = ['server', 'models', 'pilot'];
    const manifest = JSON.parse(await read(...pilot, 'manifest.json')) as Record<string, string>;
    assert.match(await read('LICENSE'), /MIT License/u);
    assert.equal(manifest['license'], 'MIT');
    assert.match(manifest['sha256'] ?? '', /^[0-9a-f]{64}$/u);
    // Each package that it learned from, with its version and its licence.
    assert.match(await read(...pilot, 'CORPUS.md'), /licen[cs]e/iu);
    const state = (await readyHearth()).state();
    assert.ok(state.kind === 'ready');
    assert.deepEqual(
      [state.model.displayName, state.model.caution],
      [manifest['displayName'], manifest['caution']],
    );
    assert.match(state.model.displayName, /^Hearth Pilot/u);
  });
});
