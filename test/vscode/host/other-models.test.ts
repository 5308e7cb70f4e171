import * as assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { restartAsBefore, restartWith } from './another-daemon.js';
import { delta, scriptedService } from './scripted-service.js';
import { activeHearth, chatModel, eventually, invokeTool, onePixel, readyHearth } from './support.js';

/**
 * What the model that comes with Hearth cannot do, with models that can; and what is said where there is none. The daemon
 * is another one meanwhile.
 */

describe('with models that see, and that give vectors', () => {
  const service = scriptedService('seeing', [delta({ content: 'One pixel.' }), delta({}, 'stop')]);

  before(async () => {
    await readyHearth();
    const base_url = await service.listen();
    const backends = [
      { kind: 'openai-compat', base_url, vision: true },
      { kind: 'mock', name: 'vectors', capabilities: ['embed'] },
    ];
    await restartWith({ backends });
    const hearth = await readyHearth();
    await eventually('both are ready', () =>
      hearth.health()?.backends.every(({ state }) => state.kind === 'ready'),
    );
  });
  after(async () => {
    service.close();
    await restartAsBefore();
  });

  it('an image arrives where it can be looked at', async () => {
    const model = await eventually('the model is offered', async () => {
      const offered = await chatModel();
      return offered.id === 'seeing' && offered;
    });
    const image = vscode.LanguageModelDataPart.image(onePixel, 'image/png');
    const text = new vscode.LanguageModelTextPart('What is this?');
    const response = await model.sendRequest([vscode.LanguageModelChatMessage.User([text, image])]);
    let answer = '';
    for await (const piece of response.text) answer += piece;
    assert.equal(answer, 'One pixel.');
    assert.match(service.asked[0] ?? '', /"image_url":\{"url":"data:image\/png;base64,iVBORw0KGgo/);
  });

  it('the tool for it gives vectors', async () => {
    const vectors: unknown = JSON.parse(await invokeTool('hearth_embed', { texts: ['one', 'two'] }));
    assert.match(JSON.stringify(vectors), /\[\[-?\d[^\]]*\],\[-?\d[^\]]*\]\]/);
  });
});

describe('without any model', () => {
  before(async () => {
    const hearth = await readyHearth();
    await restartWith({ model: '/nowhere/none.gguf' });
    await eventually('it is said to have failed', () => hearth.state().kind === 'failed');
  });
  after(restartAsBefore);

  it('a tool says so to the agent, and what to do', async () => {
    await assert.rejects(
      invokeTool('hearth_complete', { prompt: 'x' }),
      /no model to answer with.*hearth\.model/,
    );
  });

  it('it is not started again and again in vain', async () => {
    const hearth = await activeHearth();
    const state = hearth.state();
    assert.ok(state.kind === 'failed');
    assert.match(state.reason, /There is no such model file/);
  });
});
