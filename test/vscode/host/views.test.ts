import * as assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { eventually, readyHearth } from './support.js';

describe('the views', () => {
  it('show the model with its figures', async () => {
    const hearth = await readyHearth();
    const backend = await eventually('the backend is shown as ready', () =>
      hearth.rows().backends.find(({ description }) => description === 'ready'),
    );
    assert.ok(backend.children?.some(({ label }) => label === 'Context'));
  });

  it('show what happened, newest first', async () => {
    const hearth = await readyHearth();
    await vscode.commands.executeCommand('hearth.activity.focus');
    const rows = await eventually('activity is shown', () => {
      const { activity } = hearth.rows();
      return activity.some(({ label }) => label === 'daemon ready') && activity;
    });
    const labels = rows.map(({ label }) => label);
    assert.ok(labels.indexOf('daemon ready') < labels.lastIndexOf('daemon started'));
  });

  it('show a stream while it is generated, and let it be cancelled', async () => {
    const hearth = await readyHearth();
    let isShown = false;
    // A small model may have said all that it has to say before it is shown, and then the next try counts.
    for (let attempt = 0; attempt < 8 && !isShown; attempt += 1) {
      const end = { came: false };
      const asked = vscode.commands.executeCommand('hearth.ask', `Write very long story ${attempt}.`);
      void asked.then(() => {
        end.came = true;
      });
      const stream = await eventually('the stream is shown', () => hearth.rows().streams[0] ?? end.came);
      if (stream !== true) {
        assert.equal(stream.label, 'ask');
        await vscode.commands.executeCommand('hearth.cancelStream', stream);
        isShown = true;
      }
      await asked;
    }
    assert.ok(isShown, 'no stream was shown');
    await eventually('no stream is shown', () => hearth.rows().streams.length === 0);
  });
});
