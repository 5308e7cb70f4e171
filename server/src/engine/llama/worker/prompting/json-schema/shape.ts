import type { Bounds } from './integers.js';
import { count, isRecord, list } from './nodes.js';
import type { Document, Node } from './nodes.js';
import { SchemaError, below } from './schema-error.js';

/** What several schemas that all hold for one value say together. */

export const jsonTypes = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object'] as const;
export type JsonType = (typeof jsonTypes)[number];

/** Longest text and longest list whose length is enforced. */
const mostLength = 4096;
/** Most values of an `enum`, and most characters of them all. */
const mostValues = 2000;
const mostValueText = 65_536;

/** Keywords that speak of one type only. */
const keywordsOf: Readonly<Partial<Record<JsonType, readonly string[]>>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
};

/** Types that are allowed; undefined: nothing says anything of it. Without `type`, keywords tell what is meant. */
export function typesOf(nodes: readonly Node[]): ReadonlySet<JsonType> | undefined {
  let types: ReadonlySet<JsonType> | undefined;
  for (const node of nodes) {
    const own = ownTypes(node);
    if (own !== undefined) types = types === undefined ? own : intersect(types, own);
  }
  if (types !== undefined) return types;
  const meant = jsonTypes.filter((type) =>
    nodes.some(({ schema }) => keywordsOf[type]?.some((keyword) => schema[keyword] !== undefined)),
  );
  return meant.length === 0 ? undefined : new Set(meant);
}

function ownTypes({ schema, at }: Node): ReadonlySet<JsonType> | undefined {
  if (schema['type'] === undefined) return undefined;
  const given =
    typeof schema['type'] === 'string' ? [schema['type']] : list(schema['type'], below(at, 'type'));
  const types = jsonTypes.filter((type) => given.includes(type));
  if (types.length !== new Set(given).size) {
    throw new SchemaError(below(at, 'type'), `A type is one of ${jsonTypes.join(', ')}.`);
  }
  return new Set(schema['nullable'] === true ? [...types, 'null'] : types);
}

function intersect(one: ReadonlySet<JsonType>, other: ReadonlySet<JsonType>): ReadonlySet<JsonType> {
  const has = (types: ReadonlySet<JsonType>, type: JsonType): boolean =>
    types.has(type) || (type === 'integer' && types.has('number'));
  return new Set(jsonTypes.filter((type) => has(one, type) && has(other, type)));
}

function typeOf(value: unknown): JsonType {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  if (typeof value === 'boolean') return 'boolean';
  return typeof value === 'string' ? 'string' : 'object';
}

/** The values that `const` and `enum` leave, as JSON; undefined: all. */
export function valuesOf(nodes: readonly Node[], document: Document): readonly string[] | undefined {
  let values: ReadonlyMap<string, unknown> | undefined;
  let at = '';
  for (const node of nodes) {
    const own = ownValues(node);
    if (own === undefined) continue;
    ({ at } = node);
    values = values === undefined ? own : new Map([...values].filter(([text]) => own.has(text)));
  }
  if (values === undefined) return undefined;
  if (document.strictness === 'refuse') refuseBeside(nodes);
  const types = nodes.some(({ schema }) => schema['type'] !== undefined) ? typesOf(nodes) : undefined;
  const left = [...values].filter(([, value]) => {
    const type = typeOf(value);
    return types === undefined || types.has(type) || (type === 'integer' && types.has('number'));
  });
  if (left.length === 0) throw new SchemaError(at, 'No value is allowed here.');
  return left.map(([text]) => text);
}

function ownValues({ schema, at }: Node): ReadonlyMap<string, unknown> | undefined {
  const fixed = schema['const'];
  const listed = schema['enum'] === undefined ? undefined : list(schema['enum'], below(at, 'enum'));
  if (fixed === undefined && listed === undefined) return undefined;
  const all = listed ?? [fixed];
  if (all.length > mostValues) {
    throw new SchemaError(below(at, 'enum'), `At most ${mostValues} values can be enforced.`);
  }
  const values = new Map(
    (schema['nullable'] === true ? [...all, null] : all).map((value) => [JSON.stringify(value), value]),
  );
  let length = 0;
  for (const text of values.keys()) length += text.length;
  if (length > mostValueText) {
    throw new SchemaError(below(at, 'enum'), `The values may have ${mostValueText} characters together.`);
  }
  if (fixed === undefined || listed === undefined) return values;
  const text = JSON.stringify(fixed);
  return new Map([...values].filter(([one]) => one === text));
}

/** Beside listed values nothing else is looked at, so nothing else may be said. */
function refuseBeside(nodes: readonly Node[]): void {
  for (const { schema, at } of nodes) {
    for (const keyword of Object.values(keywordsOf).flat()) {
      if (schema[keyword] === undefined) continue;
      throw new SchemaError(
        below(at, keyword),
        'This cannot be enforced beside enum or const. Leave it out.',
      );
    }
  }
}

/** How many characters or items there may be. */
export interface Counts {
  readonly least: number;
  readonly most: number | undefined;
  /** Where the keywords stand that say so. */
  readonly leastAt: string;
  readonly mostAt: string;
}

/** The tightest of counts. */
export function countsOf(
  nodes: readonly Node[],
  leastName: 'minLength' | 'minItems',
  mostName: 'maxLength' | 'maxItems',
  document: Document,
): Counts {
  let least = 0;
  let most: number | undefined;
  let [leastAt, mostAt] = ['', ''];
  for (const { schema, at } of nodes) {
    const from = bounded(count(schema[leastName], below(at, leastName)), below(at, leastName), document);
    const to = bounded(count(schema[mostName], below(at, mostName)), below(at, mostName), document);
    if (from !== undefined && from >= least) [least, leastAt] = [from, below(at, leastName)];
    if (to !== undefined && to <= (most ?? to)) [most, mostAt] = [to, below(at, mostName)];
    if (most !== undefined && most < least) {
      throw new SchemaError(
        below(at, leastName),
        'Nothing is as long as this together with its other bound.',
      );
    }
  }
  return { least, most, leastAt, mostAt };
}

function bounded(value: number | undefined, at: string, { strictness }: Document): number | undefined {
  if (value === undefined || value <= mostLength) return value;
  if (strictness === 'loosen') return undefined;
  throw new SchemaError(
    at,
    `Lengths up to ${mostLength} can be enforced. Set ${mostLength} or less, or leave it out.`,
  );
}

/** The tightest bounds of a number. */
export function boundsOf(nodes: readonly Node[], integer: boolean, document: Document): Bounds {
  let least: { value: number; out: boolean } | undefined;
  let most: { value: number; out: boolean } | undefined;
  for (const { schema, at } of nodes) {
    for (const [keyword, out] of [
      ['minimum', false],
      ['exclusiveMinimum', true],
    ] as const) {
      const value = boundOf(schema[keyword], below(at, keyword), integer ? Math.ceil : undefined, document);
      // A bound between two integers is none of them.
      const isOut = out && (!integer || Number.isInteger(schema[keyword]));
      if (value === undefined) continue;
      if (least === undefined || value > least.value || (value === least.value && isOut)) {
        least = { value, out: isOut };
      }
    }
    for (const [keyword, out] of [
      ['maximum', false],
      ['exclusiveMaximum', true],
    ] as const) {
      const value = boundOf(schema[keyword], below(at, keyword), integer ? Math.floor : undefined, document);
      const isOut = out && (!integer || Number.isInteger(schema[keyword]));
      if (value === undefined) continue;
      if (most === undefined || value < most.value || (value === most.value && isOut)) {
        most = { value, out: isOut };
      }
    }
  }
  return {
    least: least?.value,
    most: most?.value,
    aboveLeast: least?.out ?? false,
    belowMost: most?.out ?? false,
  };
}

/** Largest bound of a number: 15 digits are exact in every reader. */
const mostBound = 999_999_999_999_999;

function boundOf(
  value: unknown,
  at: string,
  round: ((value: number) => number) | undefined,
  { strictness }: Document,
): number | undefined {
  if (value === undefined) return undefined;
  const rounded = typeof value === 'number' && round !== undefined ? round(value) : value;
  const fits = typeof rounded === 'number' && Number.isInteger(rounded) && Math.abs(rounded) <= mostBound;
  // Minus zero is zero.
  if (fits) return rounded + 0;
  if (strictness === 'loosen') return undefined;
  throw new SchemaError(at, 'Bounds that are integers of at most 15 digits can be enforced.');
}

/** What is said of the fields of an object. */
export interface Fields {
  /** In the order in which they are declared. Each must be all that its nodes say. */
  readonly declared: ReadonlyMap<string, readonly Node[]>;
  readonly required: ReadonlySet<string>;
  /** What a field of another name must be; undefined: there may be none. */
  readonly others: readonly Node[] | undefined;
}

/**
 * A schema that declares fields and does not speak of others is taken to want no others: that is what is meant, and
 * what it allows is still what the schema allows.
 */
export function fieldsOf(nodes: readonly Node[], document: Document): Fields {
  const declared = new Map<string, Node[]>();
  const required = new Set<string>();
  const closers: { readonly names: ReadonlySet<string>; readonly others: Node | undefined }[] = [];
  let isOpen = true;
  for (const { schema, at } of nodes) {
    const own = new Set<string>();
    const { properties, required: names, additionalProperties: others } = schema;
    if (properties !== undefined && !isRecord(properties)) {
      throw new SchemaError(below(at, 'properties'), 'This must be an object.');
    }
    for (const [name, schemaOf] of Object.entries(properties ?? {})) {
      isOpen = false;
      own.add(name);
      const nodesOf = declared.get(name) ?? [];
      nodesOf.push(document.node(schemaOf, below(at, 'properties', name)));
      declared.set(name, nodesOf);
    }
    for (const name of namesOf(names, below(at, 'required'))) required.add(name);
    const hasPatterns = schema['patternProperties'] !== undefined;
    if (others === undefined || hasPatterns) continue;
    closers.push({
      names: own,
      others: others === false ? undefined : document.node(others, below(at, 'additionalProperties')),
    });
  }
  for (const name of required) if (!declared.has(name)) declared.set(name, []);
  for (const { names, others } of closers) {
    for (const [name, nodesOf] of declared) {
      if (names.has(name)) continue;
      if (others !== undefined) nodesOf.push(others);
      else if (!required.has(name)) declared.delete(name);
      else
        throw new SchemaError(nodes[0]?.at ?? '', 'A required property is not among those that are allowed.');
    }
  }
  if (closers.some(({ others }) => others === undefined)) return { declared, required, others: undefined };
  const others = closers.flatMap((closer) => (closer.others === undefined ? [] : [closer.others]));
  return { declared, required, others: closers.length > 0 || isOpen ? others : undefined };
}

function namesOf(value: unknown, at: string): readonly string[] {
  if (value === undefined) return [];
  if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value;
  throw new SchemaError(at, 'This must be a list of names.');
}
