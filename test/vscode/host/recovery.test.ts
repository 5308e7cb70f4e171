import * as assert from 'node:assert/strict';
import { chatModel, eventually, readyHearth } from './support.js';

describe('a sidecar that is killed', () => {
  it('comes back by itself, and answers again', async () => {
    const hearth = await readyHearth();
    const pid = hearth.health()?.pid;
    assert.ok(pid);
    const states: string[] = [];
    const listener = hearth.onDidChangeState(({ kind }) => states.push(kind));
    process.kill(pid, 'SIGKILL');
    await eventually('it is ready as another process', () => {
      const now = hearth.health()?.pid;
      return hearth.state().kind === 'ready' && now !== undefined && now !== pid;
    });
    listener.dispose();
    assert.equal(states[0], 'restarting');
    const model = await chatModel();
    assert.ok((await model.countTokens('hello')) > 0);
  });

  it('restarts when asked', async () => {
    const hearth = await readyHearth();
    const pid = hearth.health()?.pid;
    const { commands } = await import('vscode');
    await commands.executeCommand('hearth.restartSidecar');
    await hearth.whenReady();
    assert.notEqual(hearth.health()?.pid, pid);
  });
});
