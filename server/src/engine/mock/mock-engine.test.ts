import { once } from 'node:events';
import { parseGenerateRequest, resolveGeneration } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import type { EngineChunk } from '../engine.js';
import { MockEngine } from './mock-engine.js';

const never = new AbortController().signal;

function request(maxTokens?: number) {
  const messages = [{ role: 'user', content: 'x' }];
  return resolveGeneration(parseGenerateRequest({ messages, max_tokens: maxTokens }));
}

async function play(engine: MockEngine, maxTokens?: number): Promise<EngineChunk[]> {
  const chunks: EngineChunk[] = [];
  for await (const chunk of engine.generate(request(maxTokens), never)) chunks.push(chunk);
  return chunks;
}

function ready(...options: ConstructorParameters<typeof MockEngine>): MockEngine {
  const engine = new MockEngine(...options);
  engine.setReady(true);
  return engine;
}

describe('row 78: the knobs of the mock engine', () => {
  it('plays back one token by default, and counts it', async () => {
    expect(await play(ready())).toEqual([
      { kind: 'token', text: 'mock-response' },
      { kind: 'done', stopReason: 'end', usage: { prompt_tokens: 0, completion_tokens: 1 } },
    ]);
  });

  it('row 12: ends with `length` when max_tokens cuts it off', async () => {
    const chunks = await play(ready({ tokens: ['a', 'b', 'c'] }), 2);
    expect(chunks.at(-1)).toMatchObject({ stopReason: 'length', usage: { completion_tokens: 2 } });
  });

  it('breaks off after so many tokens, without an end', async () => {
    expect(await play(ready({ tokens: ['a', 'b'], midStreamDropAfter: 1 }))).toEqual([
      { kind: 'token', text: 'a' },
    ]);
    expect(await play(ready({ tokens: ['a', 'b'], midStreamDropAfter: 2 }))).toHaveLength(2);
  });

  it('fails before the stream, in the way that it was told', async () => {
    await expect(play(ready({ preStreamError: 'internal' }))).rejects.toMatchObject({ kind: 'internal' });
  });

  it('is ready when its time has come', async () => {
    const engine = new MockEngine({ readyAfterMs: 1 });
    const changed = once(engine.events, 'state');
    engine.start();
    expect(engine.state.kind).toBe('starting');
    expect(await changed).toEqual([{ kind: 'ready' }]);
  });

  it('can be made unready again, and then serves nobody', async () => {
    const engine = ready();
    engine.setReady(false);
    await expect(play(engine)).rejects.toMatchObject({ kind: 'not_ready' });
  });

  it('waits before each token, and stops waiting when it is aborted', async () => {
    const controller = new AbortController();
    const chunks = ready({ tokenDelayMs: 60_000 })
      .generate(request(), controller.signal)
      [Symbol.asyncIterator]();
    const next = chunks.next();
    controller.abort();
    expect((await next).value).toMatchObject({ kind: 'done', stopReason: 'cancelled' });
  });
});

describe('a mock engine that knows a document by heart', () => {
  const document = 'function add(a, b) {\n  return a + b;\n}\n\nfunction sub(a, b) {\n  return a - b;\n}\n';
  const said = async (
    prompt: string,
    suffix?: string,
    stop: readonly string[] = [],
    seed = 0,
  ): Promise<string> => {
    const asked = parseGenerateRequest({ prompt, stop, seed, ...(suffix === undefined ? {} : { suffix }) });
    const engine = ready({ document });
    let text = '';
    for await (const chunk of engine.generate(resolveGeneration(asked), never)) {
      if (chunk.kind === 'token') text += chunk.text;
    }
    return text;
  };

  it('continues where the longest end of the prompt stands', async () => {
    expect(await said('function sub(a, b) {\n  return ', undefined, ['\n'])).toBe('a - b;');
    expect(await said('something else')).toBe('');
  });

  it('goes as far as the suffix', async () => {
    expect(await said('function add(a, b) {\n', '}\n\nfunction sub')).toBe('  return a + b;\n');
    // A bracket that an editor closed by itself stands at many places.
    expect(await said('function add', '}\n')).toBe(
      '(a, b) {\n  return a + b;\n}\n\nfunction sub(a, b) {\n  return a - b;\n}\n',
    );
    expect(await said('function add(a, b) {', '}\n')).toBe('\n  return a + b;\n');
  });

  it('has another answer for another seed where less of the prompt stands in more places', async () => {
    expect(await said('add(a, b) {\n  return ', undefined, ['\n'], 1)).toBe('a - b;');
  });
});
