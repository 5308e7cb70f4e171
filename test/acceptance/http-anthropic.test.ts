import Anthropic from '@anthropic-ai/sdk';
import { describe, expect, test } from 'vitest';
import { hearthScope } from '../support/daemon.js';
import { ask, type GatewayUnderTest, serveGateway } from '../support/gateway.js';

/** Anthropic's own client before the gateway of a real daemon. */
const hearth = hearthScope('test');

function client({ url, token }: GatewayUnderTest): Anthropic {
  return new Anthropic({ baseURL: url, apiKey: token, maxRetries: 0 });
}

const hello = { model: 'default', max_tokens: 100, messages: [{ role: 'user' as const, content: 'hello' }] };
const weather = {
  name: 'weather',
  description: 'tells the weather',
  input_schema: { type: 'object' as const, properties: { city: { type: 'string' } } },
};
/** First a call, and once its result is there, an answer. */
const script = [
  {
    when: 'sunny',
    pieces: [{ text: 'It is ' }, { text: 'sunny.' }],
    prompt_tokens: 20,
    cached_tokens: 12,
  },
  {
    when: 'weather',
    pieces: [
      { thinking: 'hmm' },
      { text: 'Let me look.' },
      { tool_call: { name: 'weather', arguments: { city: 'Oslo' } } },
    ],
    prompt_tokens: 10,
  },
];

describe('messages', () => {
  test('one that is not streamed: text, why it ended, usage; the key in either header', async () => {
    const gateway = await serveGateway(hearth, { mock: { tokens: ['Hel', 'lo'] } });
    const answer = await client(gateway).messages.create({ ...hello, system: 'be brief' });
    expect(answer).toMatchObject({
      type: 'message',
      role: 'assistant',
      model: 'mock',
      content: [{ type: 'text', text: 'Hello' }],
      stop_reason: 'end_turn',
      usage: { output_tokens: 2 },
    });
    const bearer = new Anthropic({ baseURL: gateway.url, authToken: gateway.token, apiKey: null });
    expect(await bearer.messages.create({ ...hello, max_tokens: 1 })).toMatchObject({
      stop_reason: 'max_tokens',
    });
    const wrong = new Anthropic({ baseURL: gateway.url, apiKey: 'wrong', maxRetries: 0 });
    await expect(wrong.messages.create(hello)).rejects.toBeInstanceOf(Anthropic.AuthenticationError);
  });

  test('streamed, with thinking and a call; the result of the call goes back', async () => {
    const anthropic = client(await serveGateway(hearth, { mock: { script } }));
    const question = { role: 'user' as const, content: [{ type: 'text' as const, text: 'the weather?' }] };
    const request = {
      ...hello,
      messages: [question],
      tools: [weather],
      tool_choice: { type: 'auto' as const },
    };
    const types: string[] = [];
    const stream = anthropic.messages.stream(request).on('streamEvent', ({ type }) => types.push(type));
    const first = await stream.finalMessage();
    expect(first.content).toEqual([
      { type: 'thinking', thinking: 'hmm', signature: '' },
      { type: 'text', text: 'Let me look.' },
      { type: 'tool_use', id: 'call_1', name: 'weather', input: { city: 'Oslo' } },
    ]);
    expect(first.stop_reason).toBe('tool_use');
    expect(types.filter((type) => type !== 'content_block_delta')).toEqual([
      'message_start',
      ...Array.from({ length: 3 }, () => ['content_block_start', 'content_block_stop']).flat(),
      ...['message_delta', 'message_stop'],
    ]);
    const second = await anthropic.messages.create({
      ...request,
      messages: [
        question,
        { role: 'assistant', content: first.content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'call_1', content: 'sunny' }] },
      ],
    });
    expect(second).toMatchObject({
      content: [{ type: 'text', text: 'It is sunny.' }],
      usage: { input_tokens: 8, cache_read_input_tokens: 12 },
    });
  });

  test('tokens are counted without generating', async () => {
    const anthropic = client(await serveGateway(hearth));
    const { max_tokens: _none, ...counted } = hello;
    const short = await anthropic.messages.countTokens(counted);
    const long = await anthropic.messages.countTokens({
      ...counted,
      system: 'x'.repeat(100),
      tools: [weather],
    });
    expect(short.input_tokens).toBeGreaterThan(0);
    expect(long.input_tokens).toBeGreaterThan(short.input_tokens + 100);
  });

  test('errors come in its own shape, with a time to wait where one helps', async () => {
    const gateway = await serveGateway(hearth, { mock: { pre_stream_error: 'unavailable' } });
    const anthropic = client(gateway);
    await expect(anthropic.messages.create({ ...hello, max_tokens: 0 })).rejects.toMatchObject({
      status: 400,
      error: { type: 'error', error: { type: 'invalid_request_error' } },
    });
    const busy = await ask(gateway, '/v1/messages', hello);
    expect([busy.status, busy.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await busy.json()).toMatchObject({ type: 'error', error: { type: 'overloaded_error' } });
    for (const [extra, name] of [
      [{ mcp_servers: [] }, 'mcp_servers'],
      [{ tools: [{ type: 'web_search_20250305', name: 'web_search' }] }, 'tools'],
    ] as const) {
      const refused = await ask(gateway, '/v1/messages', { ...hello, ...extra });
      expect(refused.status).toBe(400);
      expect(JSON.stringify(await refused.json())).toContain(name);
    }
    const source = { type: 'url', url: 'https://example.invalid/x.png' };
    const image = { ...hello, messages: [{ role: 'user', content: [{ type: 'image', source }] }] };
    expect((await ask(gateway, '/v1/messages', image)).status).toBe(400);
  });
});
