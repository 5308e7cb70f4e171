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
});
