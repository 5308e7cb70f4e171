import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EngineChunk } from '../engine.js';
import { type CountedChunk, resuming } from './resuming.js';

/** Streams that outlive their worker, on workers that die where a test wants it. */

const never = new AbortController().signal;
const death = new Error('dead');

const done: EngineChunk = {
  kind: 'done',
  stopReason: 'end',
  usage: { prompt_tokens: 1, completion_tokens: 4 },
};
const call = { id: 'c', name: 'clock', arguments: '{}' };
const answer: readonly EngineChunk[] = [
  { kind: 'thinking', text: 'hm' },
  { kind: 'token', text: 'one ' },
  { kind: 'token', text: 'two' },
  { kind: 'tool_call', call },
  { kind: 'token', text: 'three' },
  { kind: 'token', text: ' four' },
  done,
];

/** Plays a list of lives: the chunks of each, which ends with a death where the last is not `done`. */
async function play(
  lives: readonly (readonly EngineChunk[])[],
  options: { readonly ready?: boolean; readonly signal?: AbortSignal } = {},
): Promise<{ readonly chunks: readonly EngineChunk[]; readonly error: unknown; readonly lives: number }> {
  let life = 0;
  async function* generate(): AsyncGenerator<CountedChunk> {
    const chunks = lives[life] ?? [];
    life += 1;
    for (const [index, chunk] of chunks.entries()) yield { chunk, tokens: index + 1 };
    if (chunks.at(-1)?.kind !== 'done') throw death;
  }
  const chunks: EngineChunk[] = [];
  const parts = {
    generate,
    isDeath: (error: unknown) => error === death,
    untilReady: () => Promise.resolve(options.ready ?? true),
  };
  try {
    for await (const chunk of resuming(parts, options.signal ?? never)) chunks.push(chunk);
    return { chunks, error: undefined, lives: life };
  } catch (error) {
    return { chunks, error, lives: life };
  }
}

test('news of the prompt pass by before an answer has begun, and not when it is made again', async () => {
  const news: EngineChunk = { kind: 'prefill', progress: 0.5 };
  const begun: EngineChunk = { kind: 'token', text: 'one' };
  const { chunks } = await play([
    [news, begun],
    [news, begun, { kind: 'token', text: 'two' }, done],
  ]);
  expect(chunks.map(({ kind }) => kind)).toEqual(['prefill', 'token', 'resumed', 'token', 'done']);
});

/** What a consumer makes of an answer, however its text is cut. */
function meaning(chunks: readonly EngineChunk[]): string {
  return chunks
    .map((chunk) => {
      if (chunk.kind === 'token') return chunk.text;
      if (chunk.kind === 'thinking') return `<${chunk.text}>`;
      return chunk.kind === 'tool_call' ? `[${chunk.call.name}]` : '';
    })
    .join('');
}

describe('a stream whose worker dies', () => {
  test.each([1, 2, 3, 4, 5, 6])(
    'after %i chunks goes on without a gap and without a repetition',
    async (at) => {
      const { chunks, error } = await play([answer.slice(0, at), answer]);
      expect(error).toBeUndefined();
      expect(meaning(chunks)).toBe(meaning(answer));
      expect(chunks.at(-1)).toEqual(done);
      // Told of once, where it went on; not where nothing but the end was left.
      expect(chunks.filter(({ kind }) => kind === 'resumed')).toEqual(
        at === 6 ? [] : [{ kind: 'resumed', completionTokens: at }],
      );
    },
  );

  test('whatever the pieces are cut into, the text is the same', async () => {
    const cut = fc.array(fc.string({ minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(cut, fc.nat(), fc.nat(), async (pieces, seed, at) => {
        const whole = pieces.join('');
        const size = 1 + (seed % 5);
        const again = whole.match(new RegExp(`[^]{1,${String(size)}}`, 'gu')) ?? [];
        const first = pieces.slice(0, at % (pieces.length + 1)).map(token);
        const { chunks, error } = await play([first, [...again.map(token), done]]);
        expect(error).toBeUndefined();
        expect(chunks.map((chunk) => ('text' in chunk ? chunk.text : '')).join('')).toBe(whole);
      }),
    );
  });

  test('before its first chunk begins anew, and says nothing of it', async () => {
    const { chunks } = await play([[], answer]);
    expect(chunks.filter(({ kind }) => kind !== 'resumed')).toEqual(answer);
  });

  test('twice without a new token between is given up: the request may be the cause', async () => {
    const { chunks, error, lives } = await play([answer.slice(0, 2), answer.slice(0, 1), answer]);
    expect(error).toBe(death);
    expect(chunks).toEqual(answer.slice(0, 2));
    expect(lives).toBe(2);
  });

  test('twice with new tokens between goes on', async () => {
    const { chunks, error } = await play([answer.slice(0, 1), answer.slice(0, 3), answer]);
    expect(error).toBeUndefined();
    expect(meaning(chunks)).toBe(meaning(answer));
  });

  test('fails as it would have, where the new answer is another one, or shorter', async () => {
    const other = await play([answer.slice(0, 3), [answer[0] ?? done, { kind: 'token', text: 'ONE' }, done]]);
    expect(other).toMatchObject({ error: death, chunks: answer.slice(0, 3) });
    const shorter = await play([answer.slice(0, 3), [answer[0] ?? done, done]]);
    expect(shorter).toMatchObject({ error: death, chunks: answer.slice(0, 3) });
  });

  test('fails as it would have, where there is no worker any more', async () => {
    expect(await play([answer.slice(0, 2)], { ready: false })).toMatchObject({ error: death, lives: 1 });
  });
});

function token(text: string): EngineChunk {
  return { kind: 'token', text };
}
