import { parseGenerateRequest, resolveGeneration } from '@hearth/protocol';
import { describe, expect, test } from 'vitest';
import { CallAssembly, readPiece } from './completion-chunks.js';
import { completionRequest } from './completion-request.js';

const style = { model: 'm', extensions: false };
const resolve = (request: object) => resolveGeneration(parseGenerateRequest(request));
const ask = (request: object, options: object = {}) =>
  completionRequest(resolve(request), { ...style, ...options }).body;
const messages = [{ role: 'user', content: 'hello' }];

describe('a generation in the words of the API', () => {
  test('tools, choice and a schema are passed on', () => {
    const schema = { type: 'object', properties: { city: { type: 'string' } } };
    const tools = [{ name: 'weather', description: 'd', input_schema: schema }];
    expect(ask({ messages, tools, tool_choice: { name: 'weather' } })).toMatchObject({
      tools: [{ type: 'function', function: { name: 'weather', description: 'd', parameters: schema } }],
      tool_choice: { type: 'function', function: { name: 'weather' } },
    });
    expect(ask({ messages, response_format: { type: 'json_schema', schema } })).toMatchObject({
      response_format: { type: 'json_schema', json_schema: { schema, strict: true } },
    });
  });

  test('calls and results of earlier turns become messages of their own', () => {
    const turns = [
      { role: 'user', content: 'weather?' },
      {
        role: 'assistant',
        content: [
          { type: 'thinking', text: 'hm' },
          { type: 'text', text: 'I look.' },
          { type: 'tool_use', tool_call_id: 'c1', name: 'weather', input: { city: 'Bern' } },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_call_id: 'c1', content: 'rain' },
          { type: 'text', text: 'And?' },
        ],
      },
    ];
    const call = { id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"Bern"}' } };
    expect(ask({ messages: turns })['messages']).toEqual([
      { role: 'user', content: 'weather?' },
      { role: 'assistant', content: 'I look.', tool_calls: [call] },
      { role: 'tool', tool_call_id: 'c1', content: 'rain' },
      { role: 'user', content: 'And?' },
    ]);
  });

  test.each([
    [{ grammar: 'root ::= "a"' }, 'grammar'],
    [{ logprobs: 3 }, 'logprobs'],
    [{ mirostat: 2 }, 'mirostat'],
    [{ repeat_penalty: 1.2 }, 'repeat_penalty'],
  ])('%j is refused by name where the service has no word for it', (fields, name) => {
    expect(() => ask({ messages, ...fields })).toThrow(name);
  });

  test('with extensions, the words are those of llama.cpp', () => {
    const fields = { grammar: 'root ::= "a"', mirostat: 2, repeat_penalty: 1.2, top_k: 5 };
    expect(ask({ messages, ...fields }, { extensions: true })).toMatchObject(fields);
  });
});

describe('a stream of events', () => {
  test('tool calls come in pieces and are whole in the end', () => {
    const calls = new CallAssembly();
    const pieces = [
      { index: 1, id: 'b', function: { name: 'two', arguments: '{}' } },
      { index: 0, id: 'a', function: { name: 'one', arguments: '{"x"' } },
      { index: 0, function: { arguments: ':1}' } },
    ];
    for (const piece of pieces)
      calls.add(readPiece(JSON.stringify({ choices: [{ delta: { tool_calls: [piece] } }] })).calls);
    expect(calls.finish()).toEqual([
      { id: 'a', name: 'one', arguments: '{"x":1}' },
      { id: 'b', name: 'two', arguments: '{}' },
    ]);
  });

  test.each([
    ...[
      '[]',
      'null',
      '7',
      'not json',
      '{"choices":1}',
      '{"choices":["canary"]}',
      '{"error":{"message":"canary"}}',
    ],
    ...['{"choices":[{"delta":"canary"}]}', '{"choices":[{"delta":{"content":{"canary":1}}}]}'],
    ...['{"usage":{"prompt_tokens":-1,"completion_tokens":1}}', '{"usage":"canary"}'],
    ...[128, -1, 0.5, '"canary"'].map(
      (index) => `{"choices":[{"delta":{"tool_calls":[{"index":${index}}]}}]}`,
    ),
    '{"choices":[{"delta":{"tool_calls":[null]}}]}',
  ])('%j is a failure that repeats nothing of it', (data) => {
    expect(() => readPiece(data)).toThrow(/^(?!.*canary).*upstream/);
  });

  test('a call whose arguments are no object is a failure', () => {
    const calls = new CallAssembly();
    calls.add([{ index: 0, id: 'a', name: 'one', arguments: '{"x"' }]);
    expect(() => calls.finish()).toThrow('no completion');
  });

  test('what the service had cached of the prompt is told where it says so', () => {
    const usage = { prompt_tokens: 9, completion_tokens: 2 };
    expect(readPiece(JSON.stringify({ usage })).usage).toEqual(usage);
    const withDetails = { ...usage, prompt_tokens_details: { cached_tokens: 8 } };
    expect(readPiece(JSON.stringify({ usage: withDetails })).usage).toEqual({ ...usage, cached_tokens: 8 });
    expect(readPiece(JSON.stringify({ usage: { ...usage, prompt_tokens_details: null } })).usage).toEqual(
      usage,
    );
  });

  test('reasoning is told apart from the answer', () => {
    const data = { choices: [{ delta: { reasoning_content: 'hm', content: null } }] };
    expect(readPiece(JSON.stringify(data))).toMatchObject({ thinking: 'hm', text: '' });
  });
});
