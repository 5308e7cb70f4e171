import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';
import { ask, serveGateway } from '../support/gateway.js';

/** llama.cpp's own routes, as its editors' plugins ask for them. */
const hearth = hearthScope('test');

describe("llama.cpp's routes", () => {
  test('fill-in-the-middle with the fields that llama.vim and llama.vscode send', async () => {
    const gateway = await serveGateway(hearth, { mock: { tokens: ['x', ' = ', '1'] } });
    const request = {
      id_slot: 0,
      input_prefix: 'def f():\n  ',
      input_suffix: '\n  return x',
      input_extra: [{ filename: 'a.py', text: 'y = 2' }],
      prompt: 'let ',
      n_predict: 2,
      n_indent: 2,
      top_k: 40,
      top_p: 0.9,
      samplers: ['top_k', 'top_p', 'infill'],
      cache_prompt: true,
      t_max_prompt_ms: 500,
      t_max_predict_ms: 500,
      stream: false,
    };
    const whole = await ask(gateway, '/infill', request);
    expect(await whole.json()).toMatchObject({
      content: 'x = ',
      stop: true,
      stop_type: 'limit',
      tokens_predicted: 2,
    });
    const some = await ask(gateway, '/infill', {
      ...request,
      response_fields: ['content', 'timings/predicted_n'],
    });
    expect(await some.json()).toEqual({ content: 'x = ', 'timings/predicted_n': 2 });
    const stream = await ask(gateway, '/infill', { ...request, stream: true });
    const events = (await stream.text()).split('\n\n').filter((event) => event !== '');
    expect(events.map((event) => JSON.parse(event.replace('data: ', '')) as object)).toMatchObject([
      { content: 'x', stop: false },
      { content: ' = ', stop: false },
      { content: '', stop: true },
    ]);
    const raw = await ask(gateway, '/completion', { prompt: 'a', n_predict: -1 });
    expect(await raw.json()).toMatchObject({ content: 'x = 1', stop_type: 'eos' });
    expect((await ask(gateway, '/completion', { prompt: 'a', lora: [] })).status).toBe(400);
  });

  test('tokens, texts and rankings', async () => {
    const gateway = await serveGateway(hearth);
    const { tokens } = (await (await ask(gateway, '/tokenize', { content: 'aé' })).json()) as {
      tokens: number[];
    };
    expect(tokens).toEqual([...Buffer.from('aé')]);
    expect(await (await ask(gateway, '/detokenize', { tokens })).json()).toEqual({ content: 'aé' });
    const documents = ['blue sky', 'red apple pie', 'an apple'];
    for (const path of ['/rerank', '/v1/rerank']) {
      const ranked = await ask(gateway, path, { query: 'red apple', documents, top_n: 2 });
      expect(await ranked.json()).toMatchObject({ results: [{ index: 1 }, { index: 2 }] });
    }
  });

  test('metrics, where they are asked for here too, tell of what came by HTTP', async () => {
    const home = hearth.makeHome();
    const file = path.join(home.root, 'hearth.json');
    fs.writeFileSync(file, JSON.stringify({ http: { metrics: true } }));
    const gateway = await serveGateway(hearth, { home, args: ['--metrics-port', '0', '--config', file] });
    await (await ask(gateway, '/completion', { prompt: 'secret-word' })).text();
    expect((await ask(gateway, '/v1/nothing')).status).toBe(404);
    const metrics = await ask(gateway, '/metrics');
    expect(metrics.headers.get('content-type')).toContain('text/plain');
    const text = await metrics.text();
    expect(text).toContain('hearth_http_refused_total{status_code="404"} 1');
    expect(text).toContain('/completion');
    expect(text).not.toContain('secret-word');
  });

  test('health needs no token and says nothing else; properties do', async () => {
    const gateway = await serveGateway(hearth, { args: ['--active-permits', '3'] });
    const health = await fetch(`${gateway.url}/health`);
    expect([health.status, await health.text()]).toEqual([200, '{"status":"ok"}']);
    expect((await fetch(`${gateway.url}/props`)).status).toBe(401);
    expect((await ask(gateway, '/metrics')).status).toBe(404);
    expect(await (await ask(gateway, '/props')).json()).toMatchObject({
      total_slots: 3,
      model_alias: 'mock',
    });
  });
});
