import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseJsonObject } from './json.js';
import { limits } from './limits.js';

describe('parsing one JSON object', () => {
  test('agrees with JSON.parse on every object of ordinary size', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const text = JSON.stringify(value);
        expect(parseJsonObject(text)).toEqual({ kind: 'value', value: JSON.parse(text) as unknown });
      }),
    );
  });

  test('never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom('"', '\\', '{', '}', '[', ',', ':', '1') })),
        (text) => {
          expect(['value', 'malformed']).toContain(parseJsonObject(text).kind);
        },
      ),
    );
  });

  test.each([
    ['', 'not_json'],
    ['{"a":"unfinished \\"', 'not_json'],
    ['[1]', 'not_object'],
    ['null', 'not_object'],
    [`{"a":${'['.repeat(limits.jsonDepth)}${']'.repeat(limits.jsonDepth)}}`, 'too_complex'],
    [`{"a":[0${',0'.repeat(limits.jsonValues)}]}`, 'too_complex'],
    ['['.repeat(10_000_000), 'too_complex'],
    ['{"a":{}},'.repeat(1_000_000), 'too_complex'],
  ])('row 6: %#: refused as %$2s', (text, reason) => {
    expect(parseJsonObject(text)).toEqual({ kind: 'malformed', reason });
  });

  test('structure inside strings is text, however it is escaped', () => {
    const value = { a: '['.repeat(1000), 'b"\\': '\\"[{'.repeat(1000), c: '\\' };
    expect(parseJsonObject(JSON.stringify(value))).toEqual({ kind: 'value', value });
  });

  test('a key __proto__ changes no prototype', () => {
    const parsed = parseJsonObject('{"__proto__":{"id":"smuggled"}}');
    expect(parsed.kind === 'value' && Object.getPrototypeOf(parsed.value)).toBe(Object.prototype);
    expect(parsed.kind === 'value' && parsed.value['id']).toBeUndefined();
  });
});
