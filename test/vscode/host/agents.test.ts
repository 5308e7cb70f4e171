import * as assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { eventually, invokeTool, readyHearth } from './support.js';

/** The tools that agents in VS Code hand small jobs to, with the real engine. */

const names = ['hearth_complete', 'hearth_summarize', 'hearth_classify', 'hearth_embed'];

describe('the tools for agents', () => {
  it('are there, each with what it takes', async () => {
    await readyHearth();
    for (const name of names) {
      const tool = vscode.lm.tools.find((one) => one.name === name);
      assert.ok(tool?.inputSchema, `${name} is not there`);
    }
  });

  it('have the local model do a job', async () => {
    await readyHearth();
    const answer = await invokeTool('hearth_complete', { prompt: 'function add(a, b) {', max_tokens: 16 });
    assert.ok(answer.trim().length > 0);
  });

  it('summarize', async () => {
    await readyHearth();
    const text = 'function add(a, b) { return a + b; }\n'.repeat(4);
    assert.ok((await invokeTool('hearth_summarize', { text })).trim().length > 0);
  });

  it('choose one of the labels, whatever the model', async () => {
    await readyHearth();
    const labels = ['bug report', 'feature wish', 'question'];
    const answer = await invokeTool('hearth_classify', { text: 'It crashes when I click.', labels });
    assert.ok(labels.includes(answer), 'that is none of the labels');
  });

  it('say what is wrong with their input', async () => {
    await readyHearth();
    await assert.rejects(invokeTool('hearth_classify', { text: 'x', labels: ['only one'] }), /labels/);
  });

  it('say so where the text is larger than the context', async () => {
    await readyHearth();
    const text = 'const answer = 42;\n'.repeat(10_000);
    await assert.rejects(invokeTool('hearth_summarize', { text }), /tokens/);
  });

  it('say so where the model gives no vectors', async () => {
    await readyHearth();
    await assert.rejects(invokeTool('hearth_embed', { texts: ['x'] }), /embed|vector/i);
  });

  it('stop the engine where the call is cancelled', async () => {
    const hearth = await readyHearth();
    // Under this schema no answer is complete before its most tokens.
    const json_schema = { type: 'array', items: { type: 'integer' }, minItems: 300 };
    const job = { outcome: 'none' };
    // A small model may have written them all before the cancellation arrives, and then the next try counts.
    for (let attempt = 0; attempt < 8 && job.outcome !== 'failed'; attempt += 1) {
      const cancellation = new vscode.CancellationTokenSource();
      job.outcome = 'none';
      const ended = invokeTool(
        'hearth_complete',
        { prompt: 'letters', max_tokens: 900, json_schema },
        cancellation.token,
      ).then(
        () => (job.outcome = 'done'),
        () => (job.outcome = 'failed'),
      );
      await eventually('it runs', () => hearth.streams().length > 0 || job.outcome !== 'none');
      cancellation.cancel();
      await ended;
      await eventually('no permit is in use', () => hearth.health()?.admission.permitsInUse === 0);
      cancellation.dispose();
    }
    assert.equal(job.outcome, 'failed');
  });
});

describe('the MCP server', () => {
  /** As VS Code names it: extension and label. */
  const server = 'hearth.hearth/Hearth';
  /** As VS Code names tools of servers: the server's name, then the tool's, cut where it is long. */
  const offered = (): readonly string[] =>
    vscode.lm.tools.map(({ name }) => name).filter((name) => name.startsWith('mcp_'));

  it('is not listed unless it is asked for', async () => {
    await readyHearth();
    await vscode.commands.executeCommand('workbench.mcp.startServer', '*', { waitForLiveTools: true });
    assert.deepEqual(offered(), []);
  });

  it('is started by VS Code where the setting asks for it, and its tools do their jobs', async () => {
    await readyHearth();
    const settings = vscode.workspace.getConfiguration('hearth');
    await settings.update('mcp.enabled', true, vscode.ConfigurationTarget.Global);
    try {
      await eventually('its tools are there', async () => {
        await vscode.commands.executeCommand('workbench.mcp.startServer', server, { waitForLiveTools: true });
        return offered().length === names.length;
      });
      const labels = ['bug report', 'feature wish', 'question'];
      const classify = offered().find((name) => name.includes('classify'));
      assert.ok(classify, `only ${offered().join(', ')}`);
      const answer = await invokeTool(classify, { text: 'It crashes when I click.', labels });
      assert.ok(labels.includes(answer.trim()), 'that is none of the labels');
    } finally {
      await vscode.commands.executeCommand('workbench.mcp.stopServer', server);
      await settings.update('mcp.enabled', undefined, vscode.ConfigurationTarget.Global);
    }
    await eventually('its tools are gone', () => offered().length === 0);
  });
});
