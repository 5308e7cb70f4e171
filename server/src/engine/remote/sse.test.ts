import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EventReader, eventLength, EventTooLong } from './sse.js';

/** The events of `text`, whose bytes come in pieces of these sizes and a last one. */
function events(text: string, sizes: readonly number[] = []): readonly string[] {
  const bytes = new TextEncoder().encode(text);
  const reader = new EventReader();
  const found: string[] = [];
  let at = 0;
  for (const size of [...sizes, bytes.length]) {
    found.push(...reader.push(bytes.subarray(at, at + size)));
    at += size;
  }
  return [...found, ...reader.end()];
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
])('given %j, then its events are %j', (text, expected) => {
  expect(events(text)).toEqual(expected);
});

test('given a stream cut anywhere, when it is read, then the events are the same', () => {
  const line = fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => text.replaceAll(/[\r\n]/g, ' '));
  const stream = fc.array(fc.array(line, { minLength: 1, maxLength: 3 }), { maxLength: 8 });
  const ends = fc.constantFrom('\n', '\r\n');
  fc.assert(
    fc.property(stream, ends, fc.array(fc.nat(7), { maxLength: 60 }), (wanted, end, sizes) => {
      const text = wanted
        .map((lines) => `${lines.map((one) => `data: ${one}${end}`).join('')}${end}`)
        .join('');
      expect(events(text, sizes)).toEqual(wanted.map((lines) => lines.join('\n')));
    }),
  );
});

test('given an event without end, when it passes the bound, then reading stops there', () => {
  const reader = new EventReader();
  const more = new Uint8Array(65_536).fill(97);
  let given = 0;
  expect(() => {
    for (; given <= 2 * eventLength; given += more.length) reader.push(more);
  }).toThrow(EventTooLong);
  expect(given).toBeLessThanOrEqual(eventLength + more.length);
});

test('given an event of many lines, when they pass the bound together, then reading stops there', () => {
  const reader = new EventReader();
  const line = new TextEncoder().encode(`data: ${'a'.repeat(65_536)}\n`);
  let given = 0;
  expect(() => {
    for (; given <= 2 * eventLength; given += line.length) reader.push(line);
  }).toThrow(EventTooLong);
  expect(given).toBeLessThanOrEqual(eventLength + line.length);
});
