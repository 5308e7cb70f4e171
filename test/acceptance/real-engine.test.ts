import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { timeOf } from '../support/activity-log.js';
import { hearthScope, type HearthProcess } from '../support/daemon.js';
import { askOnce, type Frame, say } from '../support/raw-client.js';
import { descendants, processorTime } from '../support/processes.js';
import { writeTinyGguf } from '../support/tiny-gguf.js';
import { until } from '../support/wait.js';

const source = 'function add(left, right) {\n';

describe('the embedded model on the inference socket', () => {
  const hearth = hearthScope('file');
  let daemon: HearthProcess;
  const complete = async (extra: Readonly<Record<string, unknown>>): Promise<Frame> => {
    const end = (await askOnce(daemon.home.inferenceSocket, { id: 'real', prompt: source, ...extra })).at(-1);
    expect(end).toMatchObject({ type: 'done' });
    return end ?? {};
  };
  beforeAll(async () => {
    daemon = await hearth.serve({ plain: true });
  });

  test('rows 9, 10, 11: tokens stream, the end holds them all, and usage counts both sides', async () => {
    const frames = await askOnce(daemon.home.inferenceSocket, say('chat', { max_tokens: 12 }));
    const pieces = frames.slice(0, -1).map((frame) => frame['content']);
    expect(pieces.length).toBeGreaterThan(1);
    expect(frames.at(-1)).toMatchObject({ type: 'done', content: pieces.join('') });
    const usage = frames.at(-1)?.['usage'] as Frame;
    expect(usage['prompt_tokens']).toBeGreaterThan(0);
    expect(usage['completion_tokens']).toBeGreaterThan(0);
  });

  test('row 12: max_tokens yields length, and exactly so many tokens', async () => {
    const end = await complete({ max_tokens: 5, temperature: 0 });
    expect(end).toMatchObject({ stop_reason: 'length', usage: { completion_tokens: 5 } });
  });

  test('row 17: temperature 0 twice gives equal text', async () => {
    const first = await complete({ max_tokens: 24, temperature: 0 });
    expect((await complete({ max_tokens: 24, temperature: 0 }))['content']).toBe(first['content']);
  });

  test('row 17: a seed reproduces, and another seed differs', async () => {
    const sample = (seed: number): Promise<Frame> => complete({ max_tokens: 24, temperature: 1, seed });
    const [first, again, other] = [await sample(7), await sample(7), await sample(8)];
    expect(again['content']).toBe(first['content']);
    expect(other['content']).not.toBe(first['content']);
  });

  test('row 19: a grammar within the bounds rules the text', async () => {
    const end = await complete({ max_tokens: 8, grammar: 'root ::= "yes" | "no"' });
    expect(['yes', 'no']).toContain(end['content']);
    expect(end['stop_reason']).toBe('end');
  });

  test('row 22: a grammar that does not parse is the request’s fault, and the next is served', async () => {
    const frames = await askOnce(daemon.home.inferenceSocket, say('grammar', { grammar: 'root ::= (' }));
    expect(frames).toMatchObject([{ id: 'grammar', type: 'error', code: 'invalid_request' }]);
    await complete({ max_tokens: 2 });
  });

  test('row 22: a prompt longer than the context is the request’s fault, and the next is served', async () => {
    const frames = await askOnce(daemon.home.inferenceSocket, { id: 'long', prompt: 'word '.repeat(20_000) });
    expect(frames).toMatchObject([{ id: 'long', type: 'error', code: 'invalid_request' }]);
    await complete({ max_tokens: 2 });
  });

  test('row 25: stream false gives the same end', async () => {
    const request = { id: 'real', prompt: source, max_tokens: 8, temperature: 0 };
    const streamed = await askOnce(daemon.home.inferenceSocket, request);
    expect(await askOnce(daemon.home.inferenceSocket, { ...request, stream: false })).toEqual([
      streamed.at(-1),
    ]);
  });

  test('row 66: a client that goes away in mid-stream stops the engine', async () => {
    const client = await daemon.connect();
    // Only a newline ends what the grammar allows, and it never comes: the text runs to max_tokens.
    await client.sendJson({ id: 'gone', prompt: source, max_tokens: 900, grammar: 'root ::= [a-z ]+ "\\n"' });
    await client.frame();
    client.destroy();
    const record = await daemon.log.waitFor({ msg: 'request_cancelled', req_id: 'gone' });
    expect(record).toMatchObject({ stage: 'decode' });
    expect(record['completion_tokens']).toBeLessThan(890);
    await complete({ max_tokens: 2 });
  });
});

describe('a long prefill', () => {
  const hearth = hearthScope('test');

  test('row 68: a client that goes away in prefill stops it: abort observed in under 200 ms', async () => {
    const home = hearth.makeHome();
    const model = path.join(home.root, 'long.gguf');
    const contextLength = 12_288;
    await writeTinyGguf(model, { contextLength });
    const args = ['--model', model, '--context-size', String(contextLength), '--queue-depth', '1'];
    const daemon = await hearth.serve({ home, plain: true, args });

    const prompt = longPrompt(contextLength - 1000);
    const whole = await prefillTime(daemon, prompt);
    const delays: number[] = [];
    for (let attempt = 0; attempt < 3; attempt += 1) {
      // Each begins differently, so that no work of an earlier one can be taken over.
      const id = `prefill-${attempt}`;
      const client = await daemon.connect();
      await client.sendJson(
        { id, prompt: `${attempt}${prompt}`, max_tokens: 4 },
        { id: 'confirm', messages: [] },
      );
      expect(await client.frame()).toMatchObject({ id: 'confirm' });
      await busyFor(daemon, 200);
      const left = Date.now();
      client.destroy();
      const record = await daemon.log.waitFor({ msg: 'request_cancelled', req_id: id });
      expect(record).toMatchObject({ stage: 'prefill', completion_tokens: 0 });
      // The slot is free again only when the engine has let go: the next request shows it.
      const next = await askOnce(daemon.home.inferenceSocket, {
        id: `next-${attempt}`,
        prompt: 'x',
        max_tokens: 1,
      });
      expect(next.at(-1)).toMatchObject({ type: 'done', usage: { completion_tokens: 1 } });
      const done = await daemon.log.waitFor({ msg: 'request_done', req_id: `next-${attempt}` });
      expect(Number(done['total_ms'])).toBeLessThan(whole / 2);
      delays.push(timeOf(record) - left);
    }
    expect(Math.min(...delays)).toBeLessThan(200);
  });
});

/** About `tokens` tokens for a vocabulary of bytes. */
function longPrompt(tokens: number): string {
  return Array.from({ length: tokens }, (_, index) => String.fromCharCode(97 + ((index * 7) % 26))).join('');
}

/** Milliseconds from request to first token, with nobody going away: what an abort has to beat. */
async function prefillTime(daemon: HearthProcess, prompt: string): Promise<number> {
  const frames = await askOnce(daemon.home.inferenceSocket, { id: 'whole', prompt, max_tokens: 1 });
  expect(frames.at(-1)).toMatchObject({ type: 'done' });
  const done = await daemon.log.waitFor({ msg: 'request_done', req_id: 'whole' });
  return Number(done['first_token_ms']);
}

/** Resolves when the engine worker has computed for so many milliseconds from now: then it is amid its work. */
async function busyFor(daemon: HearthProcess, milliseconds: number): Promise<void> {
  const used = (): number => descendants(daemon.pid).reduce((sum, { pid }) => sum + processorTime(pid), 0);
  const before = used();
  await until(
    () => (used() - before >= milliseconds ? true : undefined),
    () => 'the engine worker does not compute',
  );
}
