import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { refuseGrammar } from '../../grammar-guard.js';
import { SchemaError } from './schema-error.js';
import { schemaGrammar } from './schema-grammar.js';
import { TestGrammar } from './testing/gbnf-matcher.js';

const ajv = new Ajv2020({ strict: false, validateFormats: true });
addFormats.default(ajv);

function compile(schema: unknown): TestGrammar {
  return new TestGrammar(schemaGrammar(schema));
}

/** Why a schema is refused. */
function refusal(schema: unknown): string {
  try {
    schemaGrammar(schema);
  } catch (error) {
    if (error instanceof SchemaError) return error.message;
    throw error;
  }
  throw new Error('the schema was taken');
}

/** Fixed numbers in place of chance. */
function chooser(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('each keyword', () => {
  const cases: readonly (readonly [
    name: string,
    schema: unknown,
    good: readonly unknown[],
    bad: readonly unknown[],
  ])[] = [
    ['null', { type: 'null' }, [null], [0, '']],
    ['boolean', { type: 'boolean' }, [true, false], ['true', null]],
    ['several types', { type: ['string', 'null'] }, ['a', null], [1]],
    ['nullable', { type: 'integer', nullable: true }, [1, null], ['1']],
    ['const', { const: { a: [1, 'x'] } }, [{ a: [1, 'x'] }], [{ a: [1] }]],
    ['enum', { enum: ['a', 'ab', 'abc', 'b', 1, null] }, ['a', 'ab', 'abc', 'b', 1, null], ['', 'ac', 2]],
    ['enum and type', { type: 'string', enum: ['a', 1] }, ['a'], [1]],
    ['strings', { type: 'string' }, ['', 'é💡', '"\\\n\u0001', 'a b'], [1]],
    ['lengths', { type: 'string', minLength: 1, maxLength: 2 }, ['a', 'ab', '💡💡', '"\n'], ['', 'abc']],
    ['patterns', { type: 'string', pattern: '^[a-c]+(x|yz)?$' }, ['a', 'abcx', 'cyz'], ['', 'ax1', 'ay']],
    ['patterns inside', { type: 'string', pattern: 'b{2}' }, ['bb', 'abbc', '"bb'], ['b', 'bab']],
    ['alternatives', { type: 'string', pattern: '^a$|^b' }, ['a', 'b', 'bc'], ['ac', 'cb']],
    ['classes', { type: 'string', pattern: '^\\d\\w[^a"]\\s.$' }, ['1_b\n?', '9A💡 "'], ['1_a ?', '1_" ?']],
    ['dates', { type: 'string', format: 'date' }, ['2024-02-29', '2023-12-31'], ['2023-02-29', '2023-13-01']],
    ['moments', { type: 'string', format: 'date-time' }, ['2024-02-29T23:59:59.5Z'], ['2024-02-29']],
    ['uuids', { type: 'string', format: 'uuid' }, ['123e4567-e89b-12d3-a456-426614174000'], ['x']],
    ['addresses', { type: 'string', format: 'ipv4' }, ['192.168.0.255'], ['256.1.1.1', '1.1.1']],
    ['integers', { type: 'integer' }, [0, -1, 1234567890], [1.5, '1']],
    [
      'bounds',
      { type: 'integer', minimum: -12, maximum: 105 },
      [-12, -1, 0, 9, 10, 99, 100, 105],
      [-13, 106],
    ],
    ['open bounds', { type: 'integer', exclusiveMinimum: 9, maximum: 20.5 }, [10, 20], [9, 21]],
    ['numbers', { type: 'number' }, [0, -1.5, 1e21, 0.1, 123456.75], ['1']],
    ['bounds of numbers', { type: 'number', minimum: 0, exclusiveMaximum: 2 }, [0, 0.5, 1.99], [-0.5, 2]],
    ['arrays', { type: 'array', items: { type: 'integer' } }, [[], [1], [1, 2, 3]], [['a'], [1, null]]],
    [
      'counts',
      { type: 'array', items: {}, minItems: 1, maxItems: 3 },
      [[1], [1, 'a', []]],
      [[], [1, 2, 3, 4]],
    ],
    [
      'places',
      {
        type: 'array',
        prefixItems: [{ type: 'string' }, { type: 'integer' }],
        items: { type: 'null' },
        maxItems: 3,
      },
      [[], ['a'], ['a', 1], ['a', 1, null]],
      [[1], ['a', null], ['a', 1, null, null]],
    ],
    [
      'objects',
      {
        type: 'object',
        properties: { a: { type: 'integer' }, b: { type: 'string' }, c: {} },
        required: ['b'],
      },
      [{ b: '' }, { a: 1, b: '' }, { b: '', c: [{}] }, { a: 1, b: '', c: null }],
      [{}, { a: 1 }, { b: '', d: 1 }, { a: 'x', b: '' }],
    ],
    [
      'other properties',
      { type: 'object', properties: { ab: { type: 'integer' } }, additionalProperties: { type: 'boolean' } },
      [{}, { ab: 1 }, { ab: 1, a: true, abc: false, b: true }, { '': true }],
      [{ ab: true }, { b: 1 }],
    ],
    ['any object', { type: 'object' }, [{}, { a: { b: [1] } }], [[], null]],
    ['anything', {}, [null, 1, [{ a: 'x' }]], []],
    ['anyOf', { anyOf: [{ type: 'integer' }, { type: 'string', maxLength: 1 }] }, [1, 'a'], ['ab', null]],
    [
      'oneOf by a property',
      {
        oneOf: [
          { type: 'object', properties: { k: { const: 1 }, v: { type: 'string' } }, required: ['k'] },
          { type: 'object', properties: { k: { const: 2 } }, required: ['k'] },
        ],
      },
      [{ k: 1 }, { k: 1, v: 'x' }, { k: 2 }],
      [{ k: 3 }, { k: 2, v: 'x' }],
    ],
    [
      'allOf',
      {
        allOf: [
          { type: 'object', properties: { a: { type: 'integer', minimum: 0 } }, required: ['a'] },
          { properties: { a: { maximum: 5 }, b: { type: 'string' } } },
        ],
      },
      [{ a: 0 }, { a: 5, b: '' }],
      [{ a: 6 }, { a: -1 }, { b: '' }],
    ],
    [
      'anyOf beside properties',
      {
        type: 'object',
        properties: { a: { type: 'integer' }, b: { type: 'integer' } },
        anyOf: [{ required: ['a'] }, { required: ['b'] }],
      },
      [{ a: 1 }, { b: 1 }, { a: 1, b: 2 }],
      [{}],
    ],
    [
      'references that recur',
      {
        $ref: '#/$defs/tree',
        $defs: {
          tree: {
            type: 'object',
            properties: {
              value: { type: 'integer' },
              children: { type: 'array', items: { $ref: '#/$defs/tree' } },
            },
            required: ['value'],
          },
        },
      },
      [{ value: 1 }, { value: 1, children: [{ value: 2, children: [] }] }],
      [{ children: [] }, { value: 1, children: [{}] }],
    ],
    [
      'names that need escapes',
      { type: 'object', properties: { 'a"b/~c\n': { type: 'null' } }, required: ['a"b/~c\n'] },
      [{ 'a"b/~c\n': null }],
      [{}],
    ],
  ];

  test.each(cases)('%s', (_, schema, good, bad) => {
    const grammar = compile(schema);
    const validate = ajv.compile(schema as object);
    for (const value of good) {
      expect([JSON.stringify(value), grammar.accepts(JSON.stringify(value))]).toEqual([
        JSON.stringify(value),
        true,
      ]);
      expect([JSON.stringify(value), validate(value)]).toEqual([JSON.stringify(value), true]);
    }
    for (const value of bad) {
      expect([JSON.stringify(value), grammar.accepts(JSON.stringify(value))]).toEqual([
        JSON.stringify(value),
        false,
      ]);
    }
  });

  test.each(cases)('%s: the guard lets it through, and what it writes is valid', (_, schema) => {
    const text = schemaGrammar(schema);
    expect(refuseGrammar(text)).toBeUndefined();
    const grammar = new TestGrammar(text);
    const validate = ajv.compile(schema as object);
    for (let seed = 0; seed < 60; seed += 1) {
      const written = grammar.write(chooser(seed));
      expect([written, validate(JSON.parse(written))]).toEqual([written, true]);
    }
  });
});

describe('a schema that cannot be enforced is refused with the place', () => {
  const deep = (depth: number): unknown =>
    depth === 0 ? { type: 'null' } : { type: 'object', properties: { a: deep(depth - 1) } };
  test.each([
    ['not', { not: {} }, '/not: This keyword'],
    [
      'patterns of names',
      { properties: { a: { patternProperties: {} } } },
      '/properties/a/patternProperties',
    ],
    ['unknown formats', { items: { type: 'string', format: 'color' } }, '/items/format: Of formats'],
    ['look-ahead', { type: 'string', pattern: '(?=a)' }, '/pattern: Of groups'],
    ['word borders', { type: 'string', pattern: '\\bа' }, '/pattern: The pattern has an escape'],
    ['bounds between integers', { type: 'number', minimum: 0.5 }, '/minimum: Bounds that are integers'],
    ['unknown types', { type: 'float' }, '/type: A type is one of'],
    ['no schema', { properties: { 'a/b': 3 } }, '/properties/a~1b: This is no schema'],
    ['what nothing can be', { type: 'integer', minimum: 2, maximum: 1 }, 'No number is within'],
    [
      'types that exclude each other',
      { allOf: [{ type: 'string' }, { type: 'null' }] },
      'No type is allowed',
    ],
    [
      'overlapping oneOf',
      { oneOf: [{ type: 'integer' }, { type: 'number' }] },
      '/oneOf: It cannot be enforced',
    ],
    ['foreign references', { $ref: 'https://example.com/a' }, '/$ref: Only references within'],
    ['lost references', { $ref: '#/$defs/a' }, '/$ref: There is nothing'],
    ['references to themselves', { $ref: '#' }, 'refers to itself'],
    ['circles', { $defs: { a: { anyOf: [{ $ref: '#/$defs/a' }] } }, $ref: '#/$defs/a' }, 'refers to itself'],
    [
      'what never ends',
      { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] },
      'The schema: A value of this never ends',
    ],
    ['uniqueItems', { type: 'array', uniqueItems: true }, '/uniqueItems'],
    ['enum beside bounds', { enum: [1, 2], minimum: 2 }, '/minimum: This cannot be enforced beside'],
    ['dynamic references', { $dynamicRef: '#a' }, '/$dynamicRef'],
    ['properties that are none', { properties: [] }, '/properties: This must be an object'],
    ['depth', deep(6000), 'deeply'],
    ['breadth', { anyOf: Array.from({ length: 20_000 }, () => ({ type: 'null' })) }, 'too many parts'],
    ['huge enums', { enum: Array.from({ length: 3000 }, (_, index) => index) }, '/enum: At most 2000'],
    ['a megabyte', { enum: ['x'.repeat(1_000_000)] }, '/enum: The values may have'],
    [
      'long names',
      { properties: { ['x'.repeat(5000)]: {} }, additionalProperties: true },
      'no others can be',
    ],
    ['great lengths', { type: 'string', maxLength: 1e9 }, '/maxLength: Lengths up to 4096 can be enforced'],
    ['more than can be asked for', { type: 'string', minLength: 4097 }, '/minLength: Lengths up to 4096'],
    ['great lists', { type: 'array', items: {}, minItems: 5000 }, '/minItems: Lengths up to 4096'],
    [
      'great lengths together',
      manyLengths(9),
      '/properties/p8/maxLength: With all else in the schema lengths up to',
    ],
  ])('%s', (_, schema, message) => {
    const started = process.cpuUsage();
    expect(refusal(schema)).toContain(message);
    // Of processor time, which the machine's other work does not spend.
    expect(process.cpuUsage(started).user / 1000).toBeLessThan(3000);
  });

  test('the length that it says would be accepted is accepted, and one more is not', () => {
    const accepted = Number(/lengths up to (\d+)/u.exec(refusal(manyLengths(9)))?.[1]);
    expect(accepted).toBeGreaterThan(0);
    expect(refuseGrammar(schemaGrammar(manyLengths(9, accepted)))).toBeUndefined();
    expect(refusal(manyLengths(9, accepted + 8))).toContain('/maxLength');
  });

  test('no value of it is in the message', () => {
    expect(refusal({ type: 'string', pattern: '(?=canary)' })).not.toContain('canary');
    expect(refusal({ const: 'canary', minLength: 1 })).not.toContain('canary');
  });
});

/** An object with so many texts of different greatest lengths, the last of them of `last`. */
function manyLengths(count: number, last = 4096): object {
  const fields = Array.from({ length: count }, (_, index) => {
    const maxLength = index === count - 1 ? last : 4000 + index;
    return [`p${String(index)}`, { type: 'string', maxLength }] as const;
  });
  return { type: 'object', properties: Object.fromEntries(fields) };
}

test.each([
  ['minLength', { type: 'string', minLength: 4000 }, (length: number) => JSON.stringify('a'.repeat(length))],
  [
    'minItems',
    { type: 'array', items: { type: 'null' }, minItems: 4000 },
    (length: number) => JSON.stringify(Array.from({ length }, () => null)),
  ],
])('%s of 4000 is enforced, and asks for no repetition that llama.cpp refuses', (_, schema, value) => {
  const text = schemaGrammar(schema);
  expect(refuseGrammar(text)).toBeUndefined();
  const grammar = new TestGrammar(text);
  expect(grammar.accepts(value(4000))).toBe(true);
  expect(grammar.accepts(value(3999))).toBe(false);
});

test('what arguments of tools cannot have enforced is let go', () => {
  const loose = new TestGrammar(
    schemaGrammar(
      {
        type: 'object',
        properties: {
          url: { type: 'string', format: 'uri', pattern: '(?=x)' },
          tags: { type: 'array', uniqueItems: true, items: { type: 'string' } },
          ratio: { type: 'number', minimum: 0.5 },
        },
        required: ['url'],
        patternProperties: { '^x-': {} },
        additionalProperties: false,
      },
      'loosen',
    ),
  );
  expect(loose.accepts('{"url":"a","tags":["b","b"],"ratio":0.1}')).toBe(true);
  expect(loose.accepts('{"tags":[]}')).toBe(false);
});

/** Schemas that say something, and a value of each. */
interface Sample {
  readonly schema: object;
  readonly value: unknown;
}
const { sample } = fc.letrec<{ sample: Sample }>((tie) => ({
  sample: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.constantFrom<Sample>({ schema: { type: 'null' }, value: null }, { schema: {}, value: { any: [1] } }),
    fc.boolean().map((value): Sample => ({ schema: { type: 'boolean' }, value })),
    fc
      .tuple(fc.integer({ min: -9999, max: 9999 }), fc.nat(500), fc.nat(500))
      .map(([value, below, above]): Sample => ({
        schema: { type: 'integer', minimum: value - below, maximum: value + above },
        value,
      })),
    fc.tuple(fc.integer({ min: -999, max: 999 }), fc.nat(50)).map(([value, above]): Sample => ({
      schema: { type: 'number', exclusiveMinimum: value - 1, maximum: value + above + 1 },
      value: value + 0.25,
    })),
    fc.string({ unit: 'grapheme', maxLength: 6 }).map((value): Sample => ({
      schema: { type: 'string', maxLength: Array.from(value).length + 1 },
      value,
    })),
    fc.uniqueArray(fc.string({ maxLength: 5 }), { minLength: 1, maxLength: 6 }).map((values): Sample => ({
      schema: { enum: values },
      value: values[0],
    })),
    fc.array(tie('sample'), { maxLength: 3 }).map((items): Sample => ({
      schema: {
        type: 'array',
        items: items.length === 0 ? {} : { anyOf: items.map(({ schema }) => schema) },
        minItems: Math.max(0, items.length - 1),
        maxItems: items.length + 1,
      },
      value: items.map(({ value }) => value),
    })),
    fc
      .tuple(
        fc.dictionary(
          fc.string({ maxLength: 4 }),
          fc.tuple(tie('sample'), fc.constantFrom('must', 'is', 'not')),
          {
            maxKeys: 4,
          },
        ),
        fc.constantFrom<unknown>(undefined, false, true),
      )
      .map(([fields, others]): Sample => {
        const entries = Object.entries(fields);
        return {
          schema: {
            type: 'object',
            properties: Object.fromEntries(entries.map(([name, [{ schema }]]) => [name, schema])),
            required: entries.flatMap(([name, [, presence]]) => (presence === 'must' ? [name] : [])),
            ...(others === undefined ? {} : { additionalProperties: others }),
          },
          value: Object.fromEntries(
            entries.flatMap(([name, [{ value }, presence]]) => (presence === 'not' ? [] : [[name, value]])),
          ),
        };
      }),
  ),
}));

test('values of random schemas are accepted, and what is accepted is valid', () => {
  fc.assert(
    fc.property(sample, fc.nat(1_000_000), ({ schema, value }, seed) => {
      const grammar = compile(schema);
      expect(grammar.accepts(JSON.stringify(value))).toBe(true);
      const written = grammar.write(chooser(seed), 20);
      const validate = ajv.compile(schema);
      expect([written, validate(JSON.parse(written))]).toEqual([written, true]);
    }),
    { numRuns: 300 },
  );
});
