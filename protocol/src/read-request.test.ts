import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errorCatalogue, errorCodes, HearthError } from './errors.js';
import { errorFrameSchema } from './frames.js';
import { readRequest, toErrorFrame } from './read-request.js';
import type { RequestReading } from './read-request.js';
import { generateRequestSchema, resolveGeneration } from './request.js';

const read = (value: unknown): RequestReading => readRequest({ kind: 'line', text: JSON.stringify(value) });
const messages = [{ role: 'user', content: 'hi' }];

describe('reading a request', () => {
  test('row 17: omitted fields resolve to the defaults', () => {
    const reading = read({ messages });
    expect(reading.kind).toBe('request');
    if (reading.kind !== 'request') return;
    expect(resolveGeneration(reading.request)).toMatchObject({
      input: {
        kind: 'chat',
        messages: [{ role: 'user', content: [{ kind: 'text', text: 'hi' }] }],
        tools: [],
      },
      sampling: { temperature: 1, topP: 0.95, topK: 64, minP: 0, maxTokens: 1000, stop: [], seed: undefined },
      format: { kind: 'text' },
      cacheScope: undefined,
    });
  });

  test('row 30: blocks of an unknown type are ignored, and references must resolve', () => {
    const content = [
      { type: 'text', text: 'a' },
      { type: 'hologram', depth: 3 },
    ];
    const reading = read({ messages: [{ role: 'user', content }] });
    expect(reading).toMatchObject({ kind: 'request' });
    if (reading.kind !== 'request') return;
    expect(resolveGeneration(reading.request).input).toMatchObject({
      messages: [{ content: [{ kind: 'text', text: 'a' }] }],
    });
    const data = { id: 'a', kind: 'image', len: 3, data: 'AAAA' };
    const image = { messages: [{ role: 'user', content: [{ type: 'image', attachment_id: 'a' }] }] };
    expect(read({ ...image, attachments: [data] }).kind).toBe('request');
    for (const [wrong, told] of [
      [{ ...image }, 'no image attachment'],
      [{ ...image, attachments: [data, data] }, 'two attachments'],
      [{ ...image, attachments: [{ ...data, kind: 'audio' }] }, 'no image attachment'],
      [{ ...image, attachments: [{ ...data, len: 4 }] }, 'base64 of len'],
      [{ messages, tools: [{ name: 't' }, { name: 't' }] }, 'two tools'],
      [{ messages: [{ role: 'user', content: [] }] }, 'content must not be empty'],
      [{ messages: [{ role: 'user', content: [{ type: 'text' }] }] }, 'messages.0.content'],
    ] as const) {
      const refused = read(wrong);
      expect(refused).toMatchObject({ kind: 'invalid', error: { code: 'invalid_request' } });
      if (refused.kind === 'invalid') expect(refused.error.message).toContain(told);
    }
  });

  test('row 14: empty messages are refused under the id of the request, in these words', () => {
    const reading = read({ id: 'e', messages: [] });
    expect(reading).toMatchObject({
      kind: 'invalid',
      id: 'e',
      error: { code: 'invalid_request', message: 'messages must not be empty' },
    });
  });

  test('row 6: what is no object is malformed, and the text does not quote it', () => {
    for (const text of ['canary', '["canary"]', '"canary"', '{"a":canary}', '']) {
      const reading = readRequest({ kind: 'line', text });
      expect(reading.kind).toBe('malformed');
      if (reading.kind !== 'malformed') return;
      expect(reading.error.code).toBe('invalid_request');
      expect(reading.error.message).not.toContain('canary');
      expect(reading.error.cause).toBeUndefined();
    }
    expect(readRequest({ kind: 'malformed' }).kind).toBe('malformed');
  });

  test('row 2: a line over the cap is frame_too_large', () => {
    expect(readRequest({ kind: 'too_large' })).toMatchObject({
      kind: 'too_large',
      error: { code: 'frame_too_large' },
    });
  });

  test('row 7: keys named like the insides of objects reach nothing', () => {
    const text =
      '{"__proto__":{"stream":false,"polluted":1},"constructor":{"prototype":{"polluted":1}},"messages":[{"role":"user","content":"hi","__proto__":{"role":"system"}}]}';
    const reading = readRequest({ kind: 'line', text });
    expect(reading).toEqual({ kind: 'request', id: '', request: { id: '', messages } });
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    expect(
      readRequest({ kind: 'line', text: '{"__proto__":{"id":"smuggled","messages":[]}}' }),
    ).toMatchObject({ id: '' });
  });

  test('row 20: no field selects a backend', () => {
    const reading = read({ messages, backend: 'other', provider: 'other' });
    expect(reading).toEqual({ kind: 'request', id: '', request: { id: '', messages } });
  });

  test('row 91: no error text quotes what it refuses', () => {
    const canary = 'CANARY-7f3a';
    const bad = fc.constantFrom<unknown>(
      canary,
      [canary],
      { [canary]: canary },
      [{ role: canary, content: canary }],
      -1,
      null,
    );
    const field = fc.constantFrom(...Object.keys(generateRequestSchema.shape), canary);
    fc.assert(
      fc.property(fc.dictionary(field, bad), (value) => {
        const reading = read(value);
        if (reading.kind === 'invalid') expect(reading.error.message).not.toContain(canary);
      }),
    );
  });

  test('row 15: any object gives a request or an error under its id, and never an exception', () => {
    const field = fc.constantFrom(...Object.keys(generateRequestSchema.shape));
    fc.assert(
      fc.property(fc.dictionary(field, fc.jsonValue()), (value) => {
        const reading = read(value);
        expect(['request', 'invalid', 'wrong_version']).toContain(reading.kind);
        const id = value['id'];
        if ('id' in reading) expect(reading.id).toBe(typeof id === 'string' && id.length <= 256 ? id : '');
      }),
    );
  });

  test('a request full of wrong messages gives one short error', () => {
    const reading = read({ id: 'w', messages: Array.from({ length: 50_000 }, () => ({ role: 1 })) });
    expect(reading).toMatchObject({ kind: 'invalid', id: 'w' });
    if (reading.kind === 'invalid') expect(reading.error.message.length).toBeLessThan(1000);
  });
});

test('a client of version 1 sees only the codes of version 1', () => {
  for (const code of errorCodes) {
    const frame = errorFrameSchema.parse(toErrorFrame('a', new HearthError(code, 'text')));
    expect(frame).toEqual({ id: 'a', type: 'error', code: errorCatalogue[code].v1, message: 'text' });
  }
});
