import * as assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as vscode from 'vscode';
import { restartAsBefore, restartWith } from './another-daemon.js';
import { activeHearth, chatModel, eventually, invokeTool, onePixel, readyHearth } from './support.js';

/**
 * What the model that comes with Hearth cannot do, with models that can; and what is said where there is none. The daemon
 * is another one meanwhile.
 */

describe('with models that see, and that give vectors', () => {
  const bodies: string[] = [];
  const service = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (piece: string) => {
      body += piece;
    });
    request.on('end', () => {
      if (request.url !== '/v1/chat/completions') {
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify({ object: 'list', data: [{ id: 'seeing', object: 'model' }] }));
        return;
      }
      bodies.push(body);
      const event = (delta: object, finish: string | null): string =>
        `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
      response.setHeader('Content-Type', 'text/event-stream');
      response.end(`${event({ content: 'One pixel.' }, null)}${event({}, 'stop')}data: [DONE]\n\n`);
    });
  });

  before(async () => {
    await readyHearth();
    await new Promise<void>((resolve) => {
      service.listen(0, '127.0.0.1', resolve);
    });
    const base_url = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
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
    assert.match(bodies[0] ?? '', /"image_url":\{"url":"data:image\/png;base64,iVBORw0KGgo/);
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
