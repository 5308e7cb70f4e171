import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HearthError } from './errors.js';
import { limits } from './limits.js';
import { encodeFrame, encodeFrameBytes, NdjsonDecoder, parseLine } from './ndjson.js';
import type { DecodedLine } from './ndjson.js';
import { utf8Bytes } from './text.js';

/** Decodes `chunks` and the end of the stream. */
function decode(chunks: Iterable<Uint8Array>, maxBytes?: number): readonly DecodedLine[] {
  const decoder = new NdjsonDecoder(maxBytes === undefined ? {} : { maxBytes });
  const lines: DecodedLine[] = [];
  for (const chunk of chunks) lines.push(...decoder.push(chunk));
  return [...lines, ...decoder.end()];
}

/** `bytes` cut at the given places, in any order, counted modulo its length. */
function cut(bytes: Uint8Array, places: readonly number[]): readonly Uint8Array[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index]));
}

const jsonObject = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' }));
const places = fc.array(fc.nat(), { maxLength: 40 });

describe('the decoder', () => {
  test('row 1: any sequence of frames decodes the same however it is cut', () => {
    fc.assert(
      fc.property(fc.array(jsonObject, { maxLength: 8 }), places, (frames, where) => {
        const bytes = utf8Bytes(frames.map((frame) => encodeFrame(frame)).join(''));
        const expected = frames.map((frame) => ({
          kind: 'value',
          value: JSON.parse(JSON.stringify(frame)) as unknown,
        }));
        expect(decode(cut(bytes, where)).map((line) => parseLine(line))).toEqual(expected);
      }),
    );
  });

  test('row 1: one frame decodes the same cut at every byte', () => {
    const frame = { id: 'é', messages: [{ role: 'user', content: 'a€b😀\u2028\n"\\' }] };
    const bytes = encodeFrameBytes(frame);
    for (let place = 0; place <= bytes.length; place += 1) {
      expect(decode(cut(bytes, [place])).map((line) => parseLine(line))).toEqual([
        { kind: 'value', value: frame },
      ]);
    }
  });

  test('row 1: arbitrary bytes never throw, and cuts do not change what becomes of them', () => {
    // Small alphabet beside all bytes, so that line feeds, quotes and half characters are common.
    const byte = fc.oneof(fc.constantFrom(0x0a, 0x22, 0x5c, 0x7b, 0x7d, 0xf0, 0x9f, 0x98, 0x80), fc.nat(255));
    fc.assert(
      fc.property(
        fc.array(byte, { maxLength: 300 }),
        places,
        fc.integer({ min: 1, max: 64 }),
        (raw, where, cap) => {
          const bytes = Uint8Array.from(raw);
          const lines = decode(cut(bytes, where), cap);
          expect(lines).toEqual(decode([bytes], cap));
          for (const line of lines) expect(() => parseLine(line)).not.toThrow();
          expect(lines.slice(0, -1).every((line) => line.kind !== 'too_large')).toBe(true);
        },
      ),
    );
  });

  test('row 2: between calls it holds at most the cap, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20_000 }),
        fc.array(fc.tuple(fc.nat(9000), fc.boolean()), { maxLength: 20 }),
        (cap, chunks) => {
          const decoder = new NdjsonDecoder({ maxBytes: cap });
          for (const [length, endsLine] of chunks) {
            const chunk = new Uint8Array(length + 1).fill(0x78);
            if (endsLine) chunk[length] = 0x0a;
            decoder.push(chunk);
            expect(decoder.bufferedBytes).toBeLessThanOrEqual(cap);
          }
        },
      ),
    );
  });

  test('row 2: a line of exactly the cap passes, one byte more is too large', () => {
    const line = '{"a":"12345"}';
    expect(decode([utf8Bytes(`${line}\n`)], line.length).map((line) => parseLine(line))).toEqual([
      { kind: 'value', value: { a: '12345' } },
    ]);
    expect(decode([utf8Bytes(`${line} \n`)], line.length)).toEqual([{ kind: 'too_large' }]);
    expect(decode([utf8Bytes(`${line} `)], line.length)).toEqual([{ kind: 'too_large' }]);
  });

  test('row 2: after a line that is too large nothing more is read', () => {
    const decoder = new NdjsonDecoder({ maxBytes: 4 });
    expect(decoder.push(utf8Bytes('{}\nlonger\n{}\n'))).toEqual([
      { kind: 'line', text: '{}' },
      { kind: 'too_large' },
    ]);
    expect(decoder.ended).toBe(true);
    expect(decoder.push(utf8Bytes('{}\n'))).toEqual([]);
    expect(decoder.end()).toEqual([]);
    expect(decoder.bufferedBytes).toBe(0);
  });

  test('row 3: an endless line in small chunks is refused at the cap and nothing is kept of it', () => {
    const decoder = new NdjsonDecoder();
    const chunk = new Uint8Array(60_000).fill(0x78);
    let sent = 0;
    let lines: readonly DecodedLine[] = [];
    while (lines.length === 0) {
      lines = decoder.push(chunk);
      sent += chunk.length;
      expect(decoder.bufferedBytes).toBeLessThanOrEqual(limits.frameBytes);
    }
    expect(lines).toEqual([{ kind: 'too_large' }]);
    expect(sent).toBeLessThanOrEqual(limits.frameBytes + chunk.length);
    expect(decoder.bufferedBytes).toBe(0);
  });

  test('row 5: an empty stream ends without a line', () => {
    expect(decode([])).toEqual([]);
    expect(decode([new Uint8Array(0)])).toEqual([]);
  });

  test('a caller may use its buffer again', () => {
    const decoder = new NdjsonDecoder();
    const buffer = utf8Bytes('{"a":1');
    decoder.push(buffer);
    buffer.fill(0x78);
    expect(decoder.push(utf8Bytes('}\n'))).toEqual([{ kind: 'line', text: '{"a":1}' }]);
  });
});

describe('the encoder', () => {
  test('row 1: a frame is one line with one line feed', () => {
    fc.assert(
      fc.property(jsonObject, (frame) => {
        const text = encodeFrame(frame);
        expect(text.indexOf('\n')).toBe(text.length - 1);
        expect(utf8Bytes(text)).toEqual(encodeFrameBytes(frame));
      }),
    );
  });

  test('row 2: a payload of the cap or more is refused, counted in bytes', () => {
    const frame = { a: '€' };
    expect(encodeFrame(frame, 12)).toBe('{"a":"€"}\n');
    expect(() => encodeFrame(frame, 11)).toThrow(
      expect.objectContaining({ name: 'HearthError', code: 'frame_too_large' }) as HearthError,
    );
  });
});
