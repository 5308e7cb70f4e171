import * as assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { restartAsBefore, restartWith } from './another-daemon.js';
import { delta, scriptedService } from './scripted-service.js';
import { eventually, readyHearth } from './support.js';

/**
 * What VS Code gets of an answer beside its text, and what a group of models has been set to, in the words of a service behind
 * the daemon that says what it is told to and keeps what it was asked.
 */

interface Asked {
  readonly temperature?: number;
  readonly max_tokens?: number;
  readonly tool_choice?: string;
}

const usage = { prompt_tokens: 70, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 64 } };

describe('a model whose words are known', () => {
  const service = scriptedService('scripted', [
    delta({ reasoning_content: 'They want a number.' }),
    delta({ content: 'Forty-' }),
    delta({ content: 'two.' }),
    delta({}, 'stop'),
    { choices: [], usage },
  ]);
  const lastAsked = (): Asked | undefined => service.asked.map((body) => JSON.parse(body) as Asked).at(-1);

  before(async () => {
    await readyHearth();
    const base_url = await service.listen();
    await restartWith({ backends: [{ kind: 'openai-compat', base_url, context_size: 8192 }] });
    await readyHearth();
  });
  after(async () => {
    service.close();
    await restartAsBefore();
  });

  const question = [vscode.LanguageModelChatMessage.User('How many?')];
  /** The one of its name, once VS Code offers it. */
  const modelOf = (id: string): Promise<vscode.LanguageModelChat> =>
    eventually(`${id} is offered`, async () => {
      const [model] = await vscode.lm.selectChatModels({ vendor: 'hearth', id });
      return model;
    });
  const partsOf = async (
    model: vscode.LanguageModelChat,
    options: vscode.LanguageModelChatRequestOptions = {},
  ): Promise<readonly unknown[]> => {
    const parts: unknown[] = [];
    const response = await model.sendRequest(question, options);
    for await (const part of response.stream) parts.push(part);
    return parts;
  };

  it('answers in text alone, and what it thought before is no part of it', async () => {
    const parts = await partsOf(await modelOf('scripted'));
    const texts = parts.filter((part) => part instanceof vscode.LanguageModelTextPart);
    assert.equal(texts.map(({ value }) => value).join(''), 'Forty-two.');
    assert.ok(!JSON.stringify(parts).includes('They want'), 'the thought is in a part');
  });

  it('says at the end how many tokens it took, in the part where VS Code looks for it', async () => {
    const parts = await partsOf(await modelOf('scripted'));
    const last = parts.at(-1);
    assert.ok(last instanceof vscode.LanguageModelDataPart);
    assert.equal(last.mimeType, 'usage');
    assert.deepEqual(JSON.parse(new TextDecoder().decode(last.data)), {
      prompt_tokens: 70,
      completion_tokens: 5,
      total_tokens: 75,
      prompt_tokens_details: { cached_tokens: 64 },
    });
    const texts = parts.filter((part) => part instanceof vscode.LanguageModelTextPart);
    assert.ok(texts.every(({ value }) => !value.includes('tokens')));
  });

  it('that talks where it has to call a tool is told of, with what helps', async () => {
    const tools = [{ name: 'choose', description: 'Chooses.', inputSchema: { type: 'object' } }];
    const toolMode = vscode.LanguageModelChatToolMode.Required;
    await assert.rejects(
      partsOf(await modelOf('scripted'), { tools, toolMode }),
      /answered with text where it had to call a tool, so nothing was changed\. Try again/,
    );
    assert.equal(lastAsked()?.tool_choice, 'required');
  });

  it('has what a group of models was set to, and answers without it beside', async () => {
    // It stays: no command takes a group out, and the user's files are the test's own.
    await vscode.commands.executeCommand('lm.addLanguageModelsProviderGroup', {
      vendor: 'hearth',
      name: 'Exact',
      temperature: 0,
      maxOutputTokens: 7,
    });
    const exact = await modelOf('scripted (temperature 0, at most 7 tokens)');
    assert.equal(exact.name, 'scripted (remote) (temperature 0, at most 7 tokens)');
    await partsOf(exact);
    assert.deepEqual([lastAsked()?.temperature, lastAsked()?.max_tokens], [0, 7]);
    // Whoever asks may ask for less, and for another temperature.
    await partsOf(exact, { modelOptions: { temperature: 0.5, max_tokens: 3 } });
    assert.deepEqual([lastAsked()?.temperature, lastAsked()?.max_tokens], [0.5, 3]);
    await partsOf(await modelOf('scripted'));
    assert.notEqual(lastAsked()?.temperature, 0);
    assert.equal(lastAsked()?.max_tokens, 2048);
  });
});
