import fc from 'fast-check';
import { expect, test } from 'vitest';
import { eventLength, EventTooLong, readEvents } from './sse.js';

async function* cut(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

async function events(text: string, sizes: readonly number[] = []): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const data of readEvents(cut(new TextEncoder().encode(text), sizes))) found.push(data);
  return found;
}

test.each([
  ['data: a\n\ndata: b\n\n', ['a', 'b']],
  ['data:a\r\n\r\ndata: b\r\n\r\n', ['a', 'b']],
  ['data: a\ndata: b\n\n', ['a\nb']],
  [': a comment\n\nevent: x\nid: 1\ndata: a\n\n', ['a']],
  ['data: a\n\ndata: [DONE]', ['a', '[DONE]']],
  ['data: a\n\ndata: [DONE]\r', ['a', '[DONE]']],
  ['\n\n\n', []],
  ['data: ü\u{1F600}\n\n', ['ü\u{1F600}']],
])('given %j, then its events are %j', async (text, expected) => {
  expect(await events(text)).toEqual(expected);
});

test('given a stream cut anywhere, when it is read, then the events are the same', async () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replaceAll(/[\r\n]/g, ' '));
  const stream = fc.array(fc.array(line, { minLength: 1, maxLength: 3 }), { maxLength: 8 });
  const ends = fc.constantFrom('\n', '\r\n');
  await fc.assert(
    fc.asyncProperty(stream, ends, fc.array(fc.nat(7), { maxLength: 60 }), async (wanted, end, sizes) => {
      const text = wanted
        .map((lines) => `${lines.map((one) => `data: ${one}${end}`).join('')}${end}`)
        .join('');
      expect(await events(text, sizes)).toEqual(wanted.map((lines) => lines.join('\n')));
    }),
  );
});

test('given an event without end, when it passes the bound, then reading stops there', async () => {
  let given = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      given += 65_536;
      yield new Uint8Array(65_536).fill(97);
    }
  }
  await expect(readEvents(endless()).next()).rejects.toThrow(EventTooLong);
  expect(given).toBeLessThanOrEqual(eventLength + 2 * 65_536);
});
