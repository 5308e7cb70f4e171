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
    expect(resolveGeneration(reading.request)).toEqual({
      input: { kind: 'chat', messages },
      sampling: {
        temperature: 1,
        topP: 0.95,
        topK: 64,
        minP: 0,
        seed: undefined,
        maxTokens: 1000,
        stop: [],
        grammar: undefined,
      },
    });
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
        expect(['request', 'invalid']).toContain(reading.kind);
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
