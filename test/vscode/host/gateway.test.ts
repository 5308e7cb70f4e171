import * as assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import * as vscode from 'vscode';
import { eventually, readyHearth } from './support.js';

describe('the setting hearth.http', () => {
  const settings = (): vscode.WorkspaceConfiguration => vscode.workspace.getConfiguration('hearth.http');

  after(async () => {
    await settings().update('enabled', undefined, vscode.ConfigurationTarget.Global);
    await settings().update('address', undefined, vscode.ConfigurationTarget.Global);
  });

  it('brings the gateway up with its token, and takes it away', async () => {
    const hearth = await readyHearth();
    assert.equal(hearth.health()?.gateway, undefined);
    await settings().update('address', '127.0.0.1:0', vscode.ConfigurationTarget.Global);
    await settings().update('enabled', true, vscode.ConfigurationTarget.Global);
    const gateway = await eventually('the gateway is there', () => hearth.health()?.gateway);
    assert.ok(gateway.tokenFile);
    assert.equal((await stat(gateway.tokenFile)).mode & 0o777, 0o600);
    const token = (await readFile(gateway.tokenFile, 'utf8')).trim();
    const models = `${gateway.url}/v1/models`;
    assert.equal((await fetch(models)).status, 401);
    const answer = await fetch(models, { headers: { Authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
    assert.ok(((await answer.json()) as { data: unknown[] }).data.length > 0);

    await settings().update('enabled', false, vscode.ConfigurationTarget.Global);
    await eventually('the gateway has gone', () => hearth.health()?.gateway === undefined);
    await assert.rejects(fetch(models), TypeError);
    await assert.rejects(stat(gateway.tokenFile), { code: 'ENOENT' });
    await hearth.whenReady();
  });
});
