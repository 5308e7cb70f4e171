import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { type Frame, RawClient, say } from '../support/raw-client.js';
import { makeTinyGguf } from '../support/tiny-gguf.js';

/** Embeddings, rankings, tokens and rendered prompts (behaviours.md 1.4). */

async function askOf(daemon: HearthProcess, value: unknown): Promise<Frame> {
  const client = await RawClient.connect(daemon.home.inferenceSocket);
  try {
    await client.sendJson(value);
    return await client.frame();
  } finally {
    client.destroy();
  }
}

describe('typed requests', () => {
  const hearth = hearthScope('file');
  let daemon: HearthProcess;
  const ask = (value: unknown): Promise<Frame> => askOf(daemon, value);

  beforeAll(async () => {
    daemon = await hearth.serve({ mock: { tokens: ['fine'], name: 'both' } });
  });
  afterEach(async () => {
    expect(await ask(say('next'))).toMatchObject({ type: 'token', content: 'fine' });
  });

  test('row 35: each vector is that of its input, and of length 1', async () => {
    const one = await ask({ id: 'e', type: 'embed', input: ['red', 'blue'] });
    expect(one).toMatchObject({
      id: 'e',
      type: 'embeddings',
      dimensions: 8,
      model: 'both',
      backend: 'both',
      usage: { input_tokens: 2 },
    });
    const other = await ask({ type: 'embed', input: ['blue', 'red'] });
    const [[red, blue], [blueAgain, redAgain]] = [vectorsOf(one), vectorsOf(other)];
    expect(redAgain).toEqual(red);
    expect(blueAgain).toEqual(blue);
    expect(red).not.toEqual(blue);
    expect(lengthOf(red)).toBeCloseTo(1, 5);
    const cut = vectorsOf(await ask({ type: 'embed', input: ['red'], dimensions: 4 }));
    expect(cut[0]).toHaveLength(4);
    expect(lengthOf(cut[0])).toBeCloseTo(1, 5);
  });

  test.each([
    ['no input', { input: [] }],
    ['an empty input', { input: ['a', ''] }],
    ['more dimensions than there are', { input: ['a'], dimensions: 9 }],
    ['no dimensions', { input: ['a'], dimensions: 0 }],
    ['an unknown task', { input: ['a'], task: 'poetry' }],
    ['too many inputs', { input: Array.from({ length: 2049 }, () => 'a') }],
  ])('row 35: %s is an invalid request', async (_what, fields) => {
    const reply = await ask({ id: 'x', type: 'embed', ...fields });
    expect(reply).toMatchObject({ id: 'x', type: 'error', code: 'invalid_request' });
  });

  test('row 36: the best first, equal ones in their order, top_n of them, and no document is echoed', async () => {
    const documents = ['a cat', 'red car', 'a red red cat', 'one car'];
    const request = { id: 'r', type: 'rerank', query: 'red cat', documents };
    const reply = await ask(request);
    expect(reply).toMatchObject({ id: 'r', type: 'rerank', model: 'both', backend: 'both' });
    expect(reply['results']).toEqual([
      { index: 2, score: 2 },
      { index: 0, score: 1 },
      { index: 1, score: 1 },
      { index: 3, score: 0 },
    ]);
    expect(JSON.stringify(reply)).not.toContain('car');
    expect((await ask({ ...request, top_n: 1 }))['results']).toEqual([{ index: 2, score: 2 }]);
    expect((await ask({ ...request, top_n: 99 }))['results']).toHaveLength(4);
  });

  test.each([
    ['257 documents', { documents: Array.from({ length: 257 }, () => 'a') }],
    ['no documents', { documents: [] }],
    ['top_n 0', { documents: ['a'], top_n: 0 }],
    ['an empty query', { query: '', documents: ['a'] }],
    ['more than 8 MiB', { documents: ['x'.repeat(8 * 1024 * 1024)] }],
  ])('row 36: %s is an invalid request', async (_what, fields) => {
    const reply = await ask({ id: 'x', type: 'rerank', query: 'q', ...fields });
    expect(reply).toMatchObject({ id: 'x', type: 'error', code: 'invalid_request' });
  });

  test('tokens of a text, and the text of tokens', async () => {
    const reply = await ask({ id: 't', type: 'tokenize', content: 'zwölf' });
    expect(reply).toMatchObject({ id: 't', type: 'tokens' });
    expect(await ask({ id: 'd', type: 'detokenize', tokens: reply['tokens'] })).toMatchObject({
      id: 'd',
      type: 'text',
      content: 'zwölf',
    });
    expect(await ask({ type: 'detokenize', tokens: [999_999] })).toMatchObject({ code: 'invalid_request' });
    expect(await ask({ type: 'detokenize', tokens: [-1] })).toMatchObject({ code: 'invalid_request' });
  });

  test('a dry run gives the prompt and generates nothing', async () => {
    const reply = await ask({ id: 'dry', prompt: 'once', dry_run: true });
    expect(reply).toMatchObject({ id: 'dry', type: 'rendered', prompt: 'once', prompt_tokens: 4 });
  });
});

describe('typed requests and the gate', () => {
  const hearth = hearthScope('test');

  test('row 64: an embedding takes the slot that a generation would take, and is cancelled like one', async () => {
    const daemon = await hearth.serve({
      mock: { token_delay_ms: 600_000 },
      args: ['--active-permits', '1', '--queue-depth', '0'],
    });
    const client = await daemon.connect();
    await client.sendJson({ id: 'slow', type: 'embed', input: ['a'] });
    await client.sendJson({ id: 'other', ...say('other') });
    expect(await client.frame()).toMatchObject({ id: 'other', type: 'error', code: 'queue_full' });
    await client.sendJson({ type: 'rerank', id: 'third', query: 'q', documents: ['d'] });
    expect(await client.frame()).toMatchObject({ id: 'third', type: 'error', code: 'queue_full' });
    await client.sendJson({ type: 'cancel', target: 'slow' });
    const frames = await client.frames(2);
    expect(frames).toContainEqual(expect.objectContaining({ type: 'cancelled', found: true }));
    expect(frames).toContainEqual(expect.objectContaining({ id: 'slow', type: 'error' }));
    // Its slot is free again.
    await client.sendJson({ id: 'more', type: 'embed', input: ['a'] });
    await client.sendJson({ type: 'cancel', target: 'more' });
    expect((await client.frames(2)).map(({ code }) => code)).not.toContain('queue_full');
    client.destroy();
  });

  test('rows 35, 36: a backend that only generates refuses by name, and one that only embeds does not generate', async () => {
    const daemon = await hearth.serve({ mock: { capabilities: ['generate', 'tokenize'] } });
    expect(await askOf(daemon, { type: 'embed', input: ['a'] })).toMatchObject({ code: 'embed_unsupported' });
    expect(await askOf(daemon, { type: 'rerank', query: 'q', documents: ['d'] })).toMatchObject({
      code: 'rerank_unsupported',
    });
    const other = await hearth.serve({ mock: { capabilities: ['embed'] } });
    expect(await askOf(other, say('g'))).toMatchObject({ type: 'error', code: 'invalid_request' });
    expect(await askOf(other, { type: 'embed', input: ['a'] })).toMatchObject({ type: 'embeddings' });
  });
});

describe('an embedding model', () => {
  const hearth = hearthScope('test');

  test('row 35: gives vectors for each input whatever their number, refuses to generate, and takes bad input well', async () => {
    const home = hearth.makeHome();
    const file = path.join(home.root, 'embed.gguf');
    fs.writeFileSync(file, makeTinyGguf({ pooling: 1 }));
    const daemon = await hearth.serve({ home, plain: true, args: ['--model', file] });
    const input = Array.from({ length: 40 }, (_, index) => `text number ${String(index)}`);
    const reply = await askOf(daemon, { id: 'e', type: 'embed', input });
    expect(reply).toMatchObject({ id: 'e', type: 'embeddings', dimensions: 64 });
    const vectors = vectorsOf(reply);
    expect(vectors).toHaveLength(40);
    for (const vector of vectors) expect(lengthOf(vector)).toBeCloseTo(1, 4);
    const again = vectorsOf(await askOf(daemon, { type: 'embed', input: [input[39], input[0]] }));
    expect(nearness(again[0], vectors[39])).toBeCloseTo(1, 4);
    expect(nearness(again[1], vectors[0])).toBeCloseTo(1, 4);
    expect(nearness(again[0], vectors[0])).toBeLessThan(0.999_99);

    expect(await askOf(daemon, say('g'))).toMatchObject({ type: 'error', code: 'invalid_request' });
    expect(await askOf(daemon, { type: 'rerank', query: 'q', documents: ['d'] })).toMatchObject({
      code: 'rerank_unsupported',
    });
    const long = await askOf(daemon, { type: 'embed', input: ['a b '.repeat(5000)] });
    expect(long).toMatchObject({ type: 'error', code: 'invalid_request' });
    expect(await askOf(daemon, { type: 'embed', input: ['x'.repeat(1_000_000)] })).toMatchObject({
      code: 'invalid_request',
    });
    const tokens = await askOf(daemon, { type: 'tokenize', content: 'the tea' });
    expect(await askOf(daemon, { type: 'detokenize', tokens: tokens['tokens'] })).toMatchObject({
      content: 'the tea',
    });
  });
});

describe('a ranking model', () => {
  const hearth = hearthScope('test');

  test('row 36: scores each document by itself, so that equal ones are equal, and refuses the rest', async () => {
    const home = hearth.makeHome();
    const file = path.join(home.root, 'rank.gguf');
    fs.writeFileSync(file, makeTinyGguf({ pooling: 4 }));
    const daemon = await hearth.serve({ home, plain: true, args: ['--model', file] });
    const documents = ['the tea', 'an old car', 'the tea', 'rain'];
    const reply = await askOf(daemon, { id: 'r', type: 'rerank', query: 'tea', documents });
    expect(reply).toMatchObject({ id: 'r', type: 'rerank', model: 'rank' });
    const results = reply['results'] as { index: number; score: number }[];
    expect(results.map(({ index }) => index).toSorted()).toEqual([0, 1, 2, 3]);
    const scores = results.map(({ score }) => score);
    expect(scores).toEqual(scores.toSorted((one, other) => other - one));
    const scoreOf = (wanted: number): number | undefined =>
      results.find(({ index }) => index === wanted)?.score;
    expect(scoreOf(2)).toBeCloseTo(scoreOf(0) ?? NaN, 6);
    expect(await askOf(daemon, { type: 'embed', input: ['a'] })).toMatchObject({ code: 'embed_unsupported' });
    expect(await askOf(daemon, say('g'))).toMatchObject({ code: 'invalid_request' });
  });
});

function vectorsOf(frame: Frame): readonly (readonly number[])[] {
  return frame['embeddings'] as number[][];
}

function lengthOf(vector: readonly number[] | undefined): number {
  return Math.hypot(...(vector ?? []));
}

function nearness(one: readonly number[] | undefined, other: readonly number[] | undefined): number {
  return (one ?? []).reduce((sum, value, index) => sum + value * (other?.[index] ?? 0), 0);
}
