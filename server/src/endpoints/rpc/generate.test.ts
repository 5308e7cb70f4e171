import type { GenerateRequestMessage } from '@hearth/protocol';
import type { MessageConnection } from 'vscode-jsonrpc';
import { expect, test } from 'vitest';
import type { GenerationEvent } from '../../daemon-api.js';
import { fakeDaemon } from './fake-daemon.js';
import { generate, generateParamsSchema } from './generate.js';

const call = { id: 'c1', name: 'clock', arguments: '{}' };
const logprobs = [{ token: 1, text: 'a', logprob: -0.5, alternatives: [] }];

/** Runs a generation of these events, and gives what a peer is told. */
async function run(events: readonly GenerationEvent[], progressToken?: string) {
  const daemon = fakeDaemon();
  daemon.generate = async function* () {
    yield* events;
  };
  const told: GenerateRequestMessage.Progress[] = [];
  const connection: Pick<MessageConnection, 'sendProgress'> = {
    sendProgress: (_type, _token, value) => {
      told.push(value as GenerateRequestMessage.Progress);
      return Promise.resolve();
    },
  };
  const params = { request: { id: '', prompt: 'x' }, client: 'test', progressToken };
  const result = await generate(
    connection as MessageConnection,
    daemon,
    'peer',
    params,
    new AbortController().signal,
  );
  return { told, result };
}

const done: GenerationEvent = {
  kind: 'done',
  text: 'a',
  thinking: 'hm',
  toolCalls: [call],
  logprobs,
  stopDetail: 'tool_use',
  usage: { prompt_tokens: 3, completion_tokens: 2, cached_tokens: 1 },
  stopReason: 'end',
  backend: 'mock',
  queueMs: 0,
  firstTokenMs: 1,
  totalMs: 2,
  timings: { decodeMs: 1 },
};

test('news of the wait, thinking, calls and log-probabilities travel as progress, the latter in the result too', async () => {
  const { told, result } = await run(
    [
      { kind: 'queued', position: 2, expectedWaitMs: 9 },
      { kind: 'loading', model: 'm', progress: 0.5 },
      { kind: 'started', backend: 'mock' },
      { kind: 'prefill', backend: 'mock', progress: 0.5 },
      { kind: 'thinking', text: 'hm' },
      { kind: 'token', text: 'a', logprobs },
      { kind: 'tool_call', call },
      { kind: 'resumed', completionTokens: 2 },
      done,
    ],
    'p',
  );
  expect(told).toEqual([
    { content: '', stage: { kind: 'queued', position: 2 } },
    { content: '', stage: { kind: 'loading', model: 'm', progress: 0.5 } },
    { content: '', stage: { kind: 'prefill' } },
    { content: '', stage: { kind: 'prefill', progress: 0.5 } },
    { content: '', thinking: 'hm' },
    { content: 'a', logprobs },
    { content: '', toolCall: call },
  ]);
  expect(result).toEqual({
    content: 'a',
    thinking: 'hm',
    toolCalls: [call],
    logprobs,
    stopDetail: 'tool_use',
    usage: { prompt_tokens: 3, completion_tokens: 2, cached_tokens: 1 },
    stopReason: 'end',
    backend: 'mock',
    queueMs: 0,
    firstTokenMs: 1,
    totalMs: 2,
  });
});

test('without a progress token nothing is told but the result', async () => {
  expect((await run([{ kind: 'token', text: 'a' }, done])).told).toEqual([]);
});

test.each([{ wire_version: 1 }, { dry_run: true }])('%j is refused: it is for the socket', (extra) => {
  const params = { request: { prompt: 'x', ...extra }, client: 'test' };
  expect(generateParamsSchema.safeParse(params).success).toBe(false);
  expect(generateParamsSchema.safeParse({ ...params, request: { prompt: 'x' } }).success).toBe(true);
});
