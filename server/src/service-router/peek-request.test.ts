import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { peekRequest } from './peek-request.js';

const peek = (value: unknown, space?: string) =>
  peekRequest(Buffer.from(JSON.stringify(value, undefined, space)));

describe('what a router reads of a body', () => {
  test('model, session and how much text there is', () => {
    const request = {
      stream: true,
      messages: [
        { role: 'system', content: 'be "brief"' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'look' },
            { type: 'image_url', image_url: { url: `data:${'x'.repeat(1000)}` } },
          ],
        },
      ],
      model: 'm\u00fcller',
      prompt_cache_key: 'k',
      temperature: 0.5,
    };
    const facts = peek(request);
    expect(facts).toMatchObject({ model: 'm\u00fcller', sessionKey: 'k' });
    // As written: the two quotes have a backslash each.
    expect(facts?.textBytes).toBe('be \\"brief\\"'.length + 'look'.length);
    expect(peek(request, '  ')?.textBytes).toBe(facts?.textBytes);
  });

  test.each([
    [{ prompt: 'abc', model: 'm' }, 3],
    [{ prompt: ['abc', 'de'], model: 'm' }, 5],
    [{ input: 'abcd' }, 4],
    [{}, 0],
    [{ messages: [] }, 0],
    [{ messages: null, model: 7 }, 0],
  ])('%j has %i bytes of text', (request, bytes) => {
    expect(peek(request)?.textBytes).toBe(bytes);
  });

  test.each([
    '',
    '[]',
    '{',
    '{"model"',
    '{"model":',
    '{"model":"a',
    '{"model":"a"',
    '{"a":}',
    '{"a":1,,}',
    'null',
    '"x"',
  ])('%j is nothing to route by, or names no model', (text) => {
    expect(peekRequest(Buffer.from(text))?.model).toBeUndefined();
  });

  test('of two fields of one name the last counts, as for JSON.parse', () => {
    expect(peekRequest(Buffer.from('{"model":"a","model":"b"}'))?.model).toBe('b');
  });

  test('a name that stands deeper, or in a text, is none', () => {
    expect(peek({ metadata: { model: 'x' }, prompt: '"model":"y"' })?.model).toBeUndefined();
  });

  test('whatever the object, model and session are what JSON.parse gives', () => {
    const key = fc.oneof(fc.constantFrom('model', 'prompt_cache_key', 'messages', 'prompt'), fc.string());
    fc.assert(
      fc.property(fc.dictionary(key, fc.jsonValue()), fc.constantFrom('', ' ', '\t'), (request, space) => {
        const facts = peek(request, space);
        const string = (value: unknown) =>
          typeof value === 'string' && value.length < 300 ? value : undefined;
        expect(facts?.model).toBe(string(request['model']));
        expect(facts?.sessionKey).toBe(string(request['prompt_cache_key']));
      }),
    );
  });

  test('whatever the bytes, it ends and throws nothing', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '\\', 'a', '1', ' '), { maxLength: 60 }),
        (characters) => {
          peekRequest(Buffer.from(`{${characters.join('')}`));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('a megabyte of text costs little', () => {
    const body = Buffer.from(
      JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'a'.repeat(1 << 20) }] }),
    );
    // The least of each: what else the machine does only ever adds to it.
    const least = (work: () => void): number =>
      Math.min(
        ...Array.from({ length: 50 }, () => {
          const since = performance.now();
          work();
          return performance.now() - since;
        }),
      );
    const peeking = least(() => peekRequest(body));
    expect(peeking).toBeLessThan(least(() => void JSON.parse(body.toString())));
  });
});
