import type { EngineEvent } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { featureOf, toEntry } from './http-event-sink.js';
import { loopbackUrl } from './loopback-url.js';
import { toSpan } from './otlp-sink.js';

const served = {
  kind: 'request_served',
  route: '/v1/chat/completions',
  model: 'm',
  provider: 'mock',
  latency_ms: 42,
  status_code: 400,
} as const satisfies EngineEvent;
const at = new Date('2026-01-02T03:04:05.678Z');

describe('row 104: events stay on this machine', () => {
  it.each([
    ['http://127.0.0.1:19090', 'http://127.0.0.1:19090'],
    ['http://localhost:1/', 'http://127.0.0.1:1'],
    ['http://[::1]:8080/base/', 'http://[::1]:8080/base'],
    // The URL parser knows the other spellings of one address.
    ['http://127.1:80', 'http://127.0.0.1'],
  ])('row 104: %s is taken', (text, url) => {
    expect(loopbackUrl(text)).toBe(url);
  });

  it.each([
    'http://127.0.0.1.evil.com',
    'http://localhost.evil.com',
    'http://8.8.8.8',
    'http://0.0.0.0:80',
    'http://127.0.0.2:80',
    'http://[::ffff:127.0.0.1]:80',
    'http://user:password@127.0.0.1',
    'http://127.0.0.1@evil.com',
    'https://127.0.0.1',
    'file:///etc/passwd',
    '127.0.0.1:80',
    '',
  ])('row 104: %s is refused', (text) => {
    expect(loopbackUrl(text)).toBeUndefined();
  });
});

it('row 100: an entry has the fields of the event log, with agent_id only where one is set', () => {
  const entry = {
    route: '/v1/chat/completions',
    model_alias: 'm',
    provider: 'mock',
    status_code: 400,
    latency_ms: 42,
    timestamp: '2026-01-02T03:04:05.678Z',
    feature_id: 'chat',
    model_used: 'm',
    tokens_input: null,
    tokens_output: null,
    cost_usd: null,
  };
  expect(toEntry(served, at, undefined)).toEqual(entry);
  expect(toEntry(served, at, 'agent-7')).toEqual({ ...entry, agent_id: 'agent-7' });
});

it.each([
  ['/v1/embeddings', 'embed'],
  ['embeddings', 'embed'],
  ['/v1/chat/completions', 'chat'],
  ['ndjson', 'chat'],
  ['/v1/embeddings/x', 'chat'],
])('row 102: %s is %s', (route, feature) => {
  expect(featureOf(route)).toBe(feature);
});

it('a span has the names of the conventions, its times, and what went wrong', () => {
  expect(
    toSpan({ ...served, status_code: 200, prompt_tokens: 3, completion_tokens: 5, stop_reason: 'end' }, at),
  ).toEqual({
    traceId: expect.stringMatching(/^[0-9a-f]{32}$/u) as string,
    spanId: expect.stringMatching(/^[0-9a-f]{16}$/u) as string,
    name: 'chat m',
    kind: 3,
    startTimeUnixNano: `${at.getTime() - 42}000000`,
    endTimeUnixNano: `${at.getTime()}000000`,
    status: {},
    attributes: expect.arrayContaining([
      { key: 'gen_ai.operation.name', value: { stringValue: 'chat' } },
      { key: 'gen_ai.response.model', value: { stringValue: 'm' } },
      { key: 'gen_ai.usage.input_tokens', value: { intValue: '3' } },
      { key: 'gen_ai.usage.output_tokens', value: { intValue: '5' } },
      {
        key: 'gen_ai.response.finish_reasons',
        value: { arrayValue: { values: [{ stringValue: 'end' }] } },
      },
    ]) as unknown[],
  });
  const failed = toSpan({ ...served, kind: 'request_failed', status_code: 503, code: 'engine_crashed' }, at);
  expect(failed).toMatchObject({ status: { code: 2 } });
  expect(failed).toMatchObject({
    attributes: expect.arrayContaining([
      { key: 'error.type', value: { stringValue: 'engine_crashed' } },
    ]) as unknown[],
  });
});
