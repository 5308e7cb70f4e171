import { SchemaError, below } from './schema-error.js';

/** Most schemas of a request that are looked at, each time that one is. */
const mostSteps = 10_000;
/** Deepest that references and `allOf` may lead before something is said. */
const deepestLead = 64;

/** A schema and where it stands. */
export interface Node {
  readonly schema: Readonly<Record<string, unknown>>;
  readonly at: string;
  /** What has been taken out of it, so that it is told from what stands there. */
  readonly tag?: string;
}

/** Keywords that say something about values and cannot be enforced. */
const beyondReach = new Set([
  ...['not', 'if', 'then', 'else', 'dependentRequired', 'dependentSchemas', 'dependencies'],
  ...['unevaluatedItems', 'unevaluatedProperties', 'contains', 'minContains', 'maxContains'],
  ...['patternProperties', 'propertyNames', 'minProperties', 'maxProperties', 'uniqueItems', 'multipleOf'],
  ...['$dynamicRef', '$recursiveRef', 'additionalItems'],
]);
/** What these hold changes nothing. */
const ofNoEffect: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['uniqueItems', false],
  ['minProperties', 0],
]);

/**
 * What to do about a keyword that cannot be enforced: `refuse` the schema; `loosen` it, so that more is allowed than it
 * says, where that is so for everyone who writes such schemas, as with the arguments of tools.
 */
export type Strictness = 'refuse' | 'loosen';

/** Looks at the schemas of one document. All that could go on for ever is counted here. */
export class Document {
  readonly strictness: Strictness;
  readonly #root: unknown;
  #steps = 0;

  constructor(root: unknown, strictness: Strictness) {
    this.#root = root;
    this.strictness = strictness;
  }

  /** @throws SchemaError where `schema` is none, or allows nothing. */
  node(schema: unknown, at: string): Node {
    this.#steps += 1;
    if (this.#steps > mostSteps) {
      throw new SchemaError('', `It has too many parts. At most ${mostSteps} are looked at.`);
    }
    if (schema === true) return { schema: {}, at };
    if (schema === false) throw new SchemaError(at, 'Nothing is allowed here. Leave it out.');
    if (!isRecord(schema)) throw new SchemaError(at, 'This is no schema: it must be an object or true.');
    return { schema, at };
  }

  /** What all of `nodes` come to, references and `allOf` followed. */
  flatten(nodes: readonly Node[]): readonly Node[] {
    return nodes.flatMap((node) => this.#follow(node, []));
  }

  #follow(node: Node, path: readonly string[]): readonly Node[] {
    const { schema, at } = node;
    if (path.includes(at)) throw new SchemaError(at, 'This refers to itself and says nothing else.');
    if (path.length > deepestLead) throw new SchemaError(at, 'This leads through too many references.');
    this.#refuseBeyondReach(node);
    const followed: Node[] = [];
    const { $ref: reference, allOf, ...rest } = schema;
    if (reference !== undefined) followed.push(...this.#follow(this.#resolve(reference, at), [...path, at]));
    if (allOf !== undefined) {
      for (const [index, part] of list(allOf, below(at, 'allOf')).entries()) {
        followed.push(...this.#follow(this.node(part, below(at, 'allOf', index)), [...path, at]));
      }
    }
    if (reference === undefined && allOf === undefined) return [node];
    return [{ schema: rest, at, tag: `${node.tag ?? ''}!lead` }, ...followed];
  }

  #refuseBeyondReach({ schema, at }: Node): void {
    if (this.strictness === 'loosen') return;
    for (const keyword of Object.keys(schema)) {
      if (!beyondReach.has(keyword) || schema[keyword] === ofNoEffect.get(keyword)) continue;
      throw new SchemaError(below(at, keyword), 'This keyword cannot be enforced. Leave it out.');
    }
  }

  #resolve(reference: unknown, at: string): Node {
    const place = below(at, '$ref');
    if (typeof reference !== 'string' || !/^#(?:\/|$)/u.test(reference)) {
      throw new SchemaError(
        place,
        'Only references within the schema, such as #/$defs/name, can be followed.',
      );
    }
    let target: unknown = this.#root;
    let pointer = '';
    for (const part of decodeFragment(reference, place).split('/').slice(1)) {
      const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
      const holder = target;
      const has = typeof holder === 'object' && holder !== null && Object.hasOwn(holder, name);
      target = has ? Reflect.get(holder, name) : undefined;
      pointer = below(pointer, name);
    }
    if (target === undefined) throw new SchemaError(place, 'There is nothing where this refers to.');
    return this.node(target, pointer);
  }
}

function decodeFragment(reference: string, at: string): string {
  try {
    return decodeURIComponent(reference.slice(1));
  } catch {
    throw new SchemaError(at, 'This is no valid reference.');
  }
}

/** @throws SchemaError where it is no list, or an empty one. */
export function list(value: unknown, at: string): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  throw new SchemaError(at, 'This must be a list that is not empty.');
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A count; undefined where there is none. @throws SchemaError where it is none. */
export function count(value: unknown, at: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new SchemaError(at, 'This must be an integer that is not negative.');
}
