import { Ollama } from 'ollama';
import { describe, expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';
import { addModel, storeOf } from '../support/model-store.js';
import { ask, type GatewayUnderTest, serveGateway } from '../support/gateway.js';

/** Ollama's own client before the gateway of a real daemon. */
const hearth = hearthScope('test');

function client({ url, token }: GatewayUnderTest): Ollama {
  return new Ollama({ host: url, headers: { Authorization: `Bearer ${token}` } });
}

const messages = [{ role: 'user', content: 'hello' }];

describe('chat and generate', () => {
  test('streamed and not, with the counts of the end', async () => {
    const ollama = client(await serveGateway(hearth, { mock: { tokens: ['Hel', 'lo', '!'] } }));
    const whole = await ollama.chat({
      model: 'mock',
      messages,
      options: { temperature: 0, num_predict: 2, stop: ['X'] },
    });
    expect(whole).toMatchObject({
      model: 'mock',
      message: { role: 'assistant', content: 'Hello' },
      done: true,
      done_reason: 'length',
      eval_count: 2,
    });
    const pieces = [];
    for await (const piece of await ollama.chat({ model: 'mock:latest', messages, stream: true }))
      pieces.push(piece);
    expect(pieces.map((piece) => piece.message.content)).toEqual(['Hel', 'lo', '!', '']);
    expect(pieces.at(-1)).toMatchObject({ done: true, done_reason: 'stop', eval_count: 3 });
    expect(pieces.at(-1)?.total_duration).toBeGreaterThan(0);

    expect(
      await ollama.generate({ model: 'mock', prompt: 'hi', system: 'be brief', keep_alive: '5m' }),
    ).toMatchObject({
      response: 'Hello!',
      done: true,
    });
    const between = await ollama.generate({ model: 'mock', prompt: 'a', suffix: 'b', stream: false });
    expect(between.response).toBe('Hello!');
    expect(await ollama.generate({ model: 'mock', prompt: '' })).toMatchObject({ done_reason: 'load' });
  });

  test('tools, thinking and a schema', async () => {
    const script = [
      { when: 'sunny', pieces: [{ text: 'It is sunny.' }] },
      {
        when: 'weather',
        pieces: [{ thinking: 'hmm' }, { tool_call: { name: 'weather', arguments: { city: 'Oslo' } } }],
      },
      { when: 'json', pieces: [{ text: '{}' }] },
    ];
    const ollama = client(await serveGateway(hearth, { mock: { script } }));
    const question = { role: 'user', content: 'the weather?' };
    const tool = {
      type: 'function',
      function: {
        name: 'weather',
        description: 'tells the weather',
        parameters: { type: 'object', properties: { city: { type: 'string', description: 'where' } } },
      },
    };
    const first = await ollama.chat({ model: 'mock', messages: [question], tools: [tool], think: true });
    expect(first.message).toMatchObject({
      thinking: 'hmm',
      tool_calls: [{ function: { name: 'weather', arguments: { city: 'Oslo' } } }],
    });
    const result = { role: 'tool', tool_name: 'weather', content: 'sunny' };
    const second = await ollama.chat({
      model: 'mock',
      messages: [question, first.message, result],
      tools: [tool],
    });
    expect(second.message.content).toBe('It is sunny.');
    const format = { type: 'object', properties: {} };
    const third = await ollama.chat({ model: 'mock', messages: [{ role: 'user', content: 'json' }], format });
    expect(third.message.content).toBe('{}');
  });

  test('what would load the model anew, or is not there, is refused by name', async () => {
    const gateway = await serveGateway(hearth);
    const ollama = client(gateway);
    await expect(ollama.chat({ model: 'mock', messages, options: { num_ctx: 1_000_000 } })).rejects.toThrow(
      'num_ctx',
    );
    expect(await ollama.chat({ model: 'mock', messages, options: { num_ctx: 2048 } })).toMatchObject({
      done: true,
    });
    await expect(ollama.chat({ model: 'mock', messages, options: { num_gpu: 1 } })).rejects.toThrow(
      'num_gpu',
    );
    await expect(ollama.chat({ model: 'none', messages })).rejects.toMatchObject({ status_code: 404 });
    const created = await ask(gateway, '/api/create', { model: 'x' });
    expect([created.status, Object.keys((await created.json()) as object)]).toEqual([404, ['error']]);
  });
});

describe('models and vectors', () => {
  test('shows what the headers of files say, of models that are loaded and that are not', async () => {
    const home = hearth.makeHome();
    await addModel(storeOf(home), 'alpha');
    const gateway = await serveGateway(hearth, { home, plain: true });
    const ollama = client(gateway);
    const listed = (await ollama.list()).models;
    expect(listed.map(({ name }) => name)).toEqual([expect.any(String), 'alpha']);
    const [own] = listed;
    expect(own?.details).toMatchObject({ format: 'gguf', families: [own?.details.family] });
    const shown = await ollama.show({ model: own?.name ?? '' });
    expect(shown.details).toEqual(own?.details);
    expect(shown.details.parameter_size).toMatch(/^\d+\.\dM$/);
    expect(shown.details.family).not.toBe('');
    const info = new Map<string, unknown>(Object.entries(shown.model_info));
    expect(info.get('general.architecture')).toBe(shown.details.family);
    const context = info.get(`${shown.details.family}.context_length`);
    expect(context).toEqual(expect.any(Number));
    expect(shown.parameters).toBe(`num_ctx ${String(context)}`);
    expect(shown.capabilities).toContain('completion');
    const absent = await ollama.show({ model: 'alpha' });
    expect(absent.capabilities).toEqual(['completion', 'insert', 'tools']);
    expect(gateway.daemon.log.matching({ msg: 'model_loaded', model: 'alpha' })).toEqual([]);
    expect((await ollama.ps()).models.map(({ name }) => name)).toEqual([own?.name]);

    // What is listed is served by its name, loaded or not.
    const ids = async (): Promise<unknown> =>
      ((await (await ask(gateway, '/v1/models')).json()) as { data: { id: string }[] }).data.map(
        ({ id }) => id,
      );
    expect(await ids()).toEqual([own?.name, 'alpha']);
    expect((await ask(gateway, '/v1/models/alpha')).status).toBe(200);
    const options = { num_predict: 2 };
    const answer = await ollama.chat({ model: 'alpha:latest', messages, options });
    expect(answer).toMatchObject({ model: 'alpha:latest', done: true, eval_count: 2 });
    expect((await ollama.ps()).models.map(({ name }) => name)).toContain('alpha');
    expect(await ids()).toEqual([own?.name, 'alpha']);
  });

  test('lists, shows and embeds', async () => {
    const ollama = client(await serveGateway(hearth));
    const { models } = await ollama.list();
    expect(models.map(({ name }) => name)).toEqual(['mock']);
    expect((await ollama.ps()).models).toMatchObject([{ name: 'mock' }]);
    expect(await ollama.show({ model: 'mock' })).toMatchObject({ capabilities: ['completion', 'insert'] });
    await expect(ollama.show({ model: 'none' })).rejects.toMatchObject({ status_code: 404 });
    const { embeddings } = await ollama.embed({ model: 'mock', input: ['red apple', 'blue'] });
    expect(embeddings).toHaveLength(2);
    expect(Math.hypot(...(embeddings[0] ?? []))).toBeCloseTo(1, 5);
    expect((await ollama.version()).version).toMatch(/^\d+\.\d+\.\d+/);
  });
});
