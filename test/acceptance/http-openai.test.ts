import OpenAI from 'openai';
import { afterEach, describe, expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';
import { ask, type GatewayUnderTest, serveGateway, serveGatewayBefore } from '../support/gateway.js';
import { HeldService } from '../support/held-service.js';
import { completions, json, type Seen, UpstreamServer } from '../support/upstream.js';

/** OpenAI's own client before the gateway of a real daemon. */
const hearth = hearthScope('test');
let servers: UpstreamServer[] = [];

afterEach(async () => {
  const ended = servers;
  servers = [];
  await Promise.all(ended.map((server) => server.close()));
});

async function upstream(...args: Parameters<typeof UpstreamServer.listen>): Promise<UpstreamServer> {
  const server = await UpstreamServer.listen(...args);
  servers.push(server);
  return server;
}

function client({ url, token }: GatewayUnderTest): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: token, maxRetries: 0 });
}

const hello = { model: 'default', messages: [{ role: 'user' as const, content: 'hello' }] };

describe('chat completions', () => {
  test('row 169: one that is not streamed, with usage and why it ended', async () => {
    const openai = client(await serveGateway(hearth, { mock: { tokens: ['Hel', 'lo', '!'] } }));
    const answer = await openai.chat.completions.create(hello);
    expect(answer).toMatchObject({
      object: 'chat.completion',
      model: 'mock',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hello!' }, finish_reason: 'stop' }],
      usage: { completion_tokens: 3 },
    });
    const cut = await openai.chat.completions.create({ ...hello, max_completion_tokens: 2 });
    expect(cut.choices[0]).toMatchObject({ message: { content: 'Hello' }, finish_reason: 'length' });
  });

  test('row 169: one that is streamed, with a usage chunk where it is asked for', async () => {
    const openai = client(await serveGateway(hearth, { mock: { tokens: ['Hel', 'lo', '"\n'] } }));
    const stream = await openai.chat.completions.create({
      ...hello,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content)).toEqual([
      ...['', 'Hel', 'lo', '"\n', undefined, undefined],
    ]);
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop');
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 3, total_tokens: 3 } });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);

    const helper = openai.chat.completions.stream(hello);
    expect(await helper.finalContent()).toBe('Hello"\n');
  });

  test('n choices come with their own indexes, streamed or not', async () => {
    const openai = client(
      await serveGateway(hearth, { mock: { tokens: ['a', 'b'] }, args: ['--active-permits', '2'] }),
    );
    const answer = await openai.chat.completions.create({ ...hello, n: 3, top_p: 0.5 });
    expect(answer.choices.map(({ index, message }) => [index, message.content])).toEqual([
      ...[
        [0, 'ab'],
        [1, 'ab'],
        [2, 'ab'],
      ],
    ]);
    expect(answer.usage?.completion_tokens).toBe(6);
    const texts = ['', '', ''];
    for await (const { choices } of await openai.chat.completions.create({ ...hello, n: 3, stream: true })) {
      for (const { index, delta } of choices) texts[index] = `${texts[index]}${delta.content ?? ''}`;
    }
    expect(texts).toEqual(['ab', 'ab', 'ab']);
  });

  test('row 169: tools, results of tools and reasoning go there and back', async () => {
    const server = await upstream(callsATool);
    const gateway = await serveGatewayBefore(hearth, server);
    const openai = client(gateway);
    const request = {
      model: 'remote-model',
      messages: [
        { role: 'developer', content: 'be brief' },
        { role: 'user', content: [{ type: 'text', text: 'weather?' }] },
        {
          role: 'assistant',
          content: null,
          tool_calls: [
            { id: 'c0', type: 'function', function: { name: 'weather', arguments: '{"city":"Rome"}' } },
          ],
        },
        { role: 'tool', tool_call_id: 'c0', content: 'sunny' },
        { role: 'user', content: 'and in Oslo?' },
      ],
      tools: [
        {
          type: 'function',
          function: {
            name: 'weather',
            description: 'tells the weather',
            parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
          },
        },
      ],
      tool_choice: 'required',
      parallel_tool_calls: false,
      stop: 'END',
    } satisfies OpenAI.ChatCompletionCreateParamsNonStreaming;

    const answer = await openai.chat.completions.create(request);
    expect(answer.choices[0]).toMatchObject({
      message: {
        content: null,
        reasoning_content: 'hmm',
        tool_calls: [
          { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
        ],
      },
      finish_reason: 'tool_calls',
    });
    const [asked] = server.asked('/v1/chat/completions');
    expect(JSON.parse(String(asked?.body))).toMatchObject({
      messages: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'weather?' },
        {
          role: 'assistant',
          tool_calls: [{ id: 'c0', function: { name: 'weather', arguments: '{"city":"Rome"}' } }],
        },
        { role: 'tool', tool_call_id: 'c0', content: 'sunny' },
        { role: 'user', content: 'and in Oslo?' },
      ],
      tools: [{ type: 'function', function: { name: 'weather' } }],
      tool_choice: 'required',
      parallel_tool_calls: false,
      stop: ['END'],
    });

    const deltas = [];
    for await (const chunk of await openai.chat.completions.create({ ...request, stream: true })) {
      deltas.push(chunk.choices[0]?.delta);
    }
    expect(deltas).toContainEqual(expect.objectContaining({ reasoning_content: 'hmm' }));
    expect(deltas).toContainEqual(
      expect.objectContaining({
        tool_calls: [
          {
            index: 0,
            id: 'call_1',
            type: 'function',
            function: { name: 'weather', arguments: '{"city":"Oslo"}' },
          },
        ],
      }),
    );
  });

  test('row 169: a JSON schema for the answer reaches the engine', async () => {
    const server = await upstream(completions(['{"a":', '1}']));
    const openai = client(await serveGatewayBefore(hearth, server));
    const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] };
    const answer = await openai.chat.completions.create({
      ...hello,
      response_format: { type: 'json_schema', json_schema: { name: 'thing', schema, strict: true } },
    });
    expect(JSON.parse(answer.choices[0]?.message.content ?? '')).toEqual({ a: 1 });
    const [asked] = server.asked('/v1/chat/completions');
    expect(JSON.parse(String(asked?.body))).toMatchObject({
      response_format: { type: 'json_schema', json_schema: { schema } },
    });
  });
});

describe('the other endpoints', () => {
  test('completions, with a suffix too, streamed and not', async () => {
    const openai = client(await serveGateway(hearth, { mock: { tokens: ['a', 'b'] } }));
    const two = await openai.completions.create({ model: 'mock', prompt: ['one', 'two'], max_tokens: 5 });
    expect(two.choices.map(({ index, text }) => [index, text])).toEqual([
      [0, 'ab'],
      [1, 'ab'],
    ]);
    expect(two).toMatchObject({ object: 'text_completion', usage: { completion_tokens: 4 } });
    const stream = await openai.completions.create({ model: 'mock', prompt: 'x', suffix: 'y', stream: true });
    const texts = [];
    for await (const chunk of stream) texts.push(chunk.choices[0]?.text, chunk.choices[0]?.finish_reason);
    expect(texts).toEqual(['a', null, 'b', null, '', 'stop']);
    const tokens = openai.completions.create({ model: 'mock', prompt: [1, 2] });
    await expect(tokens).rejects.toMatchObject({ status: 400, param: 'prompt' });
  });

  test('completions: more answers than one request may have are refused, none is left out', async () => {
    const openai = client(
      await serveGateway(hearth, { mock: { tokens: ['a'] }, args: ['--queue-depth', '32'] }),
    );
    const most = await openai.completions.create({ model: 'mock', prompt: ['1', '2', '3', '4'], n: 4 });
    expect(most.choices.map(({ index }) => index)).toEqual(Array.from({ length: 16 }, (_, index) => index));
    for (const [prompts, n] of [
      [3, 6],
      [16, 2],
    ] as const) {
      const prompt = Array.from({ length: prompts }, () => 'secret-word');
      const error: unknown = await openai.completions
        .create({ model: 'mock', prompt, n })
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ status: 400, param: 'n', type: 'invalid_request_error' });
      expect(String(error)).toContain(`${prompts * n} answers`);
      expect(String(error)).not.toContain('secret-word');
    }
  });

  test('log-probabilities of chat and text', async () => {
    const script = [{ pieces: [{ text: 'Hé' }, { text: '!' }] }];
    const openai = client(await serveGateway(hearth, { mock: { script } }));
    const chat = await openai.chat.completions.create({ ...hello, logprobs: true, top_logprobs: 2 });
    const [first] = chat.choices[0]?.logprobs?.content ?? [];
    expect(first).toMatchObject({
      token: 'Hé',
      bytes: [72, 195, 169],
      logprob: expect.any(Number) as number,
    });
    expect(first?.top_logprobs).toHaveLength(2);
    const streamed = [];
    for await (const { choices } of await openai.chat.completions.create({
      ...hello,
      logprobs: true,
      stream: true,
    })) {
      streamed.push(...(choices[0]?.logprobs?.content ?? []));
    }
    expect(streamed.map(({ token }) => token)).toEqual(['Hé', '!']);
    const text = await openai.completions.create({ model: 'mock', prompt: 'x', logprobs: 1 });
    expect(text.choices[0]?.logprobs).toMatchObject({ tokens: ['Hé', '!'], text_offset: [0, 2] });
  });

  test('embeddings, the same as numbers and as base64', async () => {
    const gateway = await serveGateway(hearth);
    const openai = client(gateway);
    const input = ['red apple', 'blue sky'];
    const floats = await openai.embeddings.create({ model: 'mock', input, encoding_format: 'float' });
    const base64 = await openai.embeddings.create({ model: 'mock', input });
    expect(floats.data.map(({ index }) => index)).toEqual([0, 1]);
    for (const [index, { embedding }] of floats.data.entries()) {
      expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
      const other = base64.data[index]?.embedding ?? [];
      expect(other).toHaveLength(embedding.length);
      for (const [place, value] of embedding.entries()) expect(other[place]).toBeCloseTo(value, 6);
    }
    const short = await openai.embeddings.create({ model: 'mock', input: 'x', dimensions: 4 });
    expect(short.data[0]?.embedding).toHaveLength(4);
    await expect(openai.embeddings.create({ model: 'mock', input: [[1]] })).rejects.toMatchObject({
      param: 'input',
    });
    await expect(openai.embeddings.create({ model: 'mock', input: '' })).rejects.toMatchObject({
      status: 400,
    });
  });

  test('responses: text, reasoning and a call, whole and as events', async () => {
    const script = [
      { when: 'sunny', pieces: [{ text: 'It is ' }, { text: 'sunny.' }], prompt_tokens: 9, cached_tokens: 3 },
      {
        when: 'weather',
        pieces: [
          { thinking: 'hmm' },
          { text: 'Wait.' },
          { tool_call: { name: 'weather', arguments: { city: 'Oslo' } } },
        ],
      },
    ];
    const openai = client(await serveGateway(hearth, { mock: { script } }));
    const tool = {
      type: 'function' as const,
      name: 'weather',
      strict: true,
      parameters: { type: 'object', properties: { city: { type: 'string' } } },
    };
    const question = { role: 'user' as const, content: 'the weather?' };
    const request = { model: 'default', instructions: 'be brief', tools: [tool], store: false };
    const stream = openai.responses.stream({ ...request, input: [question] });
    const types: string[] = [];
    for await (const event of stream) {
      expect(event.sequence_number).toBe(types.length);
      types.push(event.type);
    }
    const first = await stream.finalResponse();
    expect(first.output.map(({ type }) => type)).toEqual(['reasoning', 'message', 'function_call']);
    expect(types.slice(0, 3)).toEqual([
      'response.created',
      'response.in_progress',
      'response.output_item.added',
    ]);
    expect(types.at(-1)).toBe('response.completed');
    const call = first.output.find((item) => item.type === 'function_call');
    expect(call).toMatchObject({ name: 'weather', arguments: '{"city":"Oslo"}', call_id: 'call_1' });

    const second = await openai.responses.create({
      ...request,
      input: [
        question,
        ...first.output.map(({ id: _id, ...item }) => item as OpenAI.Responses.ResponseInputItem),
        { type: 'function_call_output', call_id: 'call_1', output: 'sunny' },
      ],
    });
    expect(second).toMatchObject({
      status: 'completed',
      output_text: 'It is sunny.',
      usage: { input_tokens: 9, input_tokens_details: { cached_tokens: 3 }, output_tokens: 2 },
    });
    const cut = await openai.responses.create({ ...request, input: 'sunny', max_output_tokens: 1 });
    expect(cut).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } });
  });

  test('responses: what needs a memory or tools of ours is refused by name', async () => {
    const openai = client(await serveGateway(hearth));
    const refused = [
      ['previous_response_id', { previous_response_id: 'resp_1' }],
      ['store', { store: true }],
      ['background', { background: true }],
      ['conversation', { conversation: 'conv_1' }],
      ['tools.0.type', { tools: [{ type: 'web_search' as const }] }],
    ] as const;
    for (const [param, extra] of refused) {
      const asked = openai.responses.create({
        model: 'mock',
        input: 'hi',
        ...extra,
      } as OpenAI.Responses.ResponseCreateParamsNonStreaming);
      await expect(asked).rejects.toMatchObject({ status: 400, param });
    }
  });
});

describe('errors in OpenAI’s shape', () => {
  test('row 169: a parameter that is not supported is refused by name, and null counts as absent', async () => {
    const openai = client(await serveGateway(hearth));
    const refused = async (extra: object) =>
      openai.chat.completions.create({ ...hello, ...extra }).then(
        () => undefined,
        (error: unknown) => error,
      );
    expect(await refused({ audio: { voice: 'alloy' } })).toMatchObject({
      status: 400,
      param: 'audio',
      code: 'unsupported_parameter',
      type: 'invalid_request_error',
    });
    expect(await refused({ store: true })).toMatchObject({ status: 400, param: 'store' });
    expect(await refused({ temperature: 'hot' })).toMatchObject({ status: 400, param: 'temperature' });
    expect(await refused({ messages: [] })).toMatchObject({ status: 400, param: 'messages' });
    expect(await refused({ model: 'gpt-none' })).toMatchObject({ status: 404, code: 'model_not_found' });
    expect(await refused({ stop: null, tools: null, user: 'me', store: false })).toBeUndefined();
  });

  test('row 170: an image elsewhere is refused, whatever the address', async () => {
    const openai = client(await serveGateway(hearth));
    for (const url of [
      'http://127.0.0.1:1/x.png',
      'https://example.invalid/x.png',
      'file:///etc/passwd',
      'x',
    ]) {
      const content = [{ type: 'image_url' as const, image_url: { url } }];
      const request = openai.chat.completions.create({ ...hello, messages: [{ role: 'user', content }] });
      await expect(request).rejects.toMatchObject({
        status: 400,
        param: 'messages.0.content.0.image_url.url',
      });
    }
  });

  test('a full queue is 503 with the computed time to wait', async () => {
    const service = await HeldService.listen(['a', 'b'], (said) => said === 'hold');
    const gateway = await serveGatewayBefore(hearth, service.server, { args: ['--queue-depth', '0'] });
    await ask(gateway, '/v1/chat/completions', hello).then((response) => response.text());
    const held = { ...hello, messages: [{ role: 'user', content: 'hold' }], stream: true };
    const running = await ask(gateway, '/v1/chat/completions', held);
    const refused = await ask(gateway, '/v1/chat/completions', hello);
    expect(refused.status).toBe(503);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(Number(refused.headers.get('retry-after-ms'))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ error: { code: 'queue_full', type: 'server_error' } });
    service.release();
    expect(await running.text()).toContain('[DONE]');
  });

  test('a failure in mid-stream is told within the stream, without [DONE]', async () => {
    const gateway = await serveGateway(hearth, {
      mock: { tokens: ['a', 'b', 'c'], mid_stream_drop_after: 2 },
    });
    const text = await (await ask(gateway, '/v1/chat/completions', { ...hello, stream: true })).text();
    expect(text).toContain('"error":{');
    expect(text).not.toContain('[DONE]');
    const stream = await client(gateway).chat.completions.create({ ...hello, stream: true });
    const all = async () => {
      for await (const chunk of stream) expect(chunk.object).toBe('chat.completion.chunk');
    };
    await expect(all()).rejects.toMatchObject({ code: 'backend_unavailable' });
  });
});

describe('models', () => {
  test('row 169: lists models, finds one, and says where there is none', async () => {
    const openai = client(await serveGateway(hearth));
    const models = [];
    for await (const model of openai.models.list()) models.push(model.id);
    expect(models).toEqual(['mock']);
    expect(await openai.models.retrieve('mock')).toMatchObject({ id: 'mock', object: 'model' });
    await expect(openai.models.retrieve('other')).rejects.toMatchObject({ status: 404 });
  });
});

function callsATool(response: Parameters<typeof json>[0], { path }: Seen): void {
  if (path === '/v1/models') {
    json(response, 200, { object: 'list', data: [{ id: 'remote-model', object: 'model' }] });
    return;
  }
  const event = (delta: object, finish: string | null = null): string =>
    `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.write(event({ reasoning_content: 'hmm' }));
  const call = { index: 0, id: 'call_1', function: { name: 'weather', arguments: '{"city":' } };
  response.write(event({ tool_calls: [call] }));
  response.write(event({ tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] }));
  response.end(`${event({}, 'tool_calls')}data: [DONE]\n\n`);
}
