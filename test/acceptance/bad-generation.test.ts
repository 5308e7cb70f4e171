import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { askOnce, type Frame, say } from '../support/raw-client.js';
import { makeTinyGguf } from '../support/tiny-gguf.js';

/** Requests that are wrong in every way that numbers, grammars and schemas can be, beside a stream that goes on. */

const nested = (depth: number): unknown =>
  Array.from({ length: depth }).reduce<unknown>(
    (inner) => ({ type: 'object', properties: { a: inner }, required: ['a'] }),
    { type: 'string' },
  );
const schema = (value: unknown): Record<string, unknown> => ({
  response_format: { type: 'json_schema', schema: value },
});

const cases: readonly (readonly [string, Record<string, unknown>])[] = [
  ['a negative count', { max_tokens: -1 }],
  ['a count of 2^53', { max_tokens: 2 ** 53 }],
  ['half a token', { max_tokens: 1.5 }],
  ['a seed of 2^53', { seed: 2 ** 53 }],
  ['a negative seed', { seed: -1 }],
  ['a negative temperature', { temperature: -0.1 }],
  ['a top_p above 1', { top_p: 1.5 }],
  ['a top_k of 2^32', { top_k: 2 ** 32 }],
  ['a penalty of 0', { repeat_penalty: 0 }],
  ['a negative deadline', { deadline_ms: -5 }],
  ['too many log-probabilities', { logprobs: 21 }],
  ['a bias of a token that is none', { logit_bias: [[2 ** 31, 1]] }],
  ['a bias beyond the vocabulary', { logit_bias: [[2 ** 31 - 1, 1]] }],
  ['a bias that is too strong', { logit_bias: [[1, 1e6]] }],
  ['a grammar of 1 MB', { grammar: `root ::= "${'a'.repeat(1024 * 1024)}"` }],
  ['a grammar of 5000 alternatives', { grammar: `root ::= ${'"a" | '.repeat(5000)} "b"` }],
  ['a grammar without a root', { grammar: 'other ::= "a"' }],
  ['a grammar that explodes', { grammar: 'root ::= ((("a"{1,1000}){1,1000}){1,1000}){1,1000}' }],
  ['a grammar that only calls itself', { grammar: 'root ::= root' }],
  ['a schema that only refers to itself', schema({ $ref: '#' })],
  ['a schema with a reference to nothing', schema({ $ref: '#/$defs/none' })],
  ['a schema with a reference to elsewhere', schema({ $ref: 'https://example.com/schema.json' })],
  ['a schema that never ends', schema({ type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] })],
  ['a schema of 120 levels, deeper than a line may be', schema(nested(120))],
  ['a schema with counts of 2^53', schema({ type: 'array', minItems: 2 ** 53 })],
  ['a schema with negative counts', schema({ type: 'string', minLength: -1 })],
];

describe('bad generations beside a good one', () => {
  const hearth = hearthScope('file');
  let daemon: HearthProcess;
  let undisturbed: string;
  const long = say('long', { max_tokens: 150, temperature: 0, events: true });

  beforeAll(async () => {
    const home = hearth.makeHome();
    const file = path.join(home.root, 'tiny.gguf');
    fs.writeFileSync(file, makeTinyGguf());
    daemon = await hearth.serve({ home, plain: true, args: ['--model', file, '--active-permits', '2'] });
    undisturbed = String((await askOnce(home.inferenceSocket, long)).at(-1)?.['content']);
  });

  const ask = (value: unknown): Promise<readonly Frame[]> => askOnce(daemon.home.inferenceSocket, value);

  test.each(cases)('%s is an invalid request, and the next one is served', async (_what, fields) => {
    const [beside, frames] = await Promise.all([ask(long), ask(say('bad', { max_tokens: 8, ...fields }))]);
    // It cost the neighbour nothing, not a token.
    expect(beside.at(-1)).toMatchObject({ type: 'done', content: undisturbed });
    expect(frames.at(-1)).toMatchObject({ type: 'error', code: 'invalid_request' });
    expect((await ask(say('next', { max_tokens: 2 }))).at(-1)).toMatchObject({ type: 'done' });
  });

  test.each([
    ['infinity', '1e999'],
    ['minus infinity', '-1e999'],
  ])('%s is an invalid request', async (_what, literal) => {
    const client = await daemon.connect();
    await client.send(`{"id":"inf","messages":[{"role":"user","content":"x"}],"temperature":${literal}}\n`);
    expect(await client.reply()).toMatchObject([{ id: 'inf', type: 'error', code: 'invalid_request' }]);
    expect((await client.ask(say('next', { max_tokens: 2 }))).at(-1)).toMatchObject({ type: 'done' });
    client.destroy();
  });

  test('NaN is no JSON: one error, and a close', async () => {
    const client = await daemon.connect();
    await client.send('{"id":"nan","messages":[{"role":"user","content":"x"}],"temperature":NaN}\n');
    expect(await client.rest()).toMatchObject([{ id: '', type: 'error', code: 'invalid_request' }]);
    client.destroy();
  });
});
