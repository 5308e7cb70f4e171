import { formatPatterns } from './formats.js';
import type { GbnfRules } from './gbnf-rules.js';
import { literal, oneOf, repeat } from './gbnf-rules.js';
import { choiceOf } from './choices.js';
import { decimal, integer } from './integers.js';
import { jsonString, otherKey } from './json-strings.js';
import { Document, list } from './nodes.js';
import type { Node, Strictness } from './nodes.js';
import { areApart } from './one-of.js';
import { PatternError, patternString } from './patterns.js';
import { SchemaError, below } from './schema-error.js';
import { boundsOf, countsOf, fieldsOf, jsonTypes, typesOf, valuesOf } from './shape.js';
import type { Counts, JsonType } from './shape.js';

/** Most characters of the names of an object that may have others too. */
const mostNameText = 4096;

/** Elements of a grammar that a part takes which may be left out: itself, the next, and two marks. */
const elementsOfOptional = 4;

/** A length in a schema, by what it does to the size of the grammar. */
export interface LongPart {
  /** JSON pointer of its keyword. */
  readonly at: string;
  readonly length: number;
  /** Elements of the grammar for each character or item. */
  readonly each: number;
}

/** Turns the schemas of one document into rules of a grammar. */
export class SchemaCompiler {
  readonly #rules: GbnfRules;
  readonly #document: Document;
  /** Rules by the schemas that they stand for. */
  readonly #known = new Map<string, { readonly name: string; readonly at: string }>();
  #anything: string | undefined;
  #longest: LongPart | undefined;

  constructor(rules: GbnfRules, root: unknown, strictness: Strictness) {
    this.#rules = rules;
    this.#document = new Document(root, strictness);
  }

  /** An expression for the values of the whole document. @throws SchemaError. */
  compile(root: unknown, only?: 'object'): string {
    const node = this.#document.node(root, '');
    const type = only === undefined ? [] : [{ schema: { type: only }, at: '', tag: '!only' }];
    return this.#compile([node, ...type], new Set());
  }

  /** Where the schemas of rules stand, for what is found out about rules later. */
  *places(): Generator<readonly [rule: string, at: string]> {
    for (const { name, at } of this.#known.values()) yield [name, at];
  }

  /** The length that makes the grammar longest, of those that a schema gives. */
  get longest(): LongPart | undefined {
    return this.#longest;
  }

  /**
   * @param nodes What a value must be, all of it.
   * @param leading Schemas that are being compiled and of which nothing is written yet.
   */
  #compile(nodes: readonly Node[], leading: ReadonlySet<string>): string {
    const key = nodes.map(({ at, tag = '' }) => `${at}${tag}`).join(' & ');
    const at = nodes[0]?.at ?? '';
    if (leading.has(key)) throw new SchemaError(at, 'This refers to itself and says nothing else.');
    const known = this.#known.get(key);
    if (known !== undefined) return known.name;
    const name = this.#rules.reserve();
    this.#known.set(key, { name, at });
    this.#rules.define(name, this.#bodyOf(this.#document.flatten(nodes), new Set([...leading, key])));
    return name;
  }

  #bodyOf(nodes: readonly Node[], leading: ReadonlySet<string>): string {
    const choosing = nodes.find(
      ({ schema }) => schema['anyOf'] !== undefined || schema['oneOf'] !== undefined,
    );
    if (choosing !== undefined) return this.#choice(nodes, choosing, leading);
    const values = valuesOf(nodes, this.#document);
    if (values !== undefined) return choiceOf(this.#rules, values);
    const types = typesOf(nodes);
    if (types === undefined) return this.#any();
    if (types.size === 0) throw new SchemaError(nodes[0]?.at ?? '', 'No type is allowed here.');
    // Every integer is a number.
    const written = jsonTypes.filter(
      (type) => types.has(type) && !(type === 'integer' && types.has('number')),
    );
    return oneOf(written.map((type) => this.#ofType(type, nodes)));
  }

  /** One of the alternatives, and all else that is said. */
  #choice(nodes: readonly Node[], choosing: Node, leading: ReadonlySet<string>): string {
    const keyword = choosing.schema['anyOf'] === undefined ? 'oneOf' : 'anyOf';
    const place = below(choosing.at, keyword);
    const { [keyword]: given, ...schema } = choosing.schema;
    const rest = { schema, at: choosing.at, tag: `${choosing.tag ?? ''}!${keyword}` };
    const base = nodes.map((node) => (node === choosing ? rest : node)).filter(says);
    const branches = list(given, place).map((branch, index) =>
      this.#document.node(branch, below(place, index)),
    );
    if (keyword === 'oneOf' && this.#document.strictness === 'refuse') {
      const flat = branches.map((branch) => this.#document.flatten([branch]));
      if (!areApart(flat)) {
        throw new SchemaError(
          place,
          'It cannot be enforced that only one of these holds. Use anyOf, or tell them apart by type or by a required property of its own value in each.',
        );
      }
    }
    return oneOf(branches.map((branch) => this.#compile([...base, branch], leading)));
  }

  #ofType(type: JsonType, nodes: readonly Node[]): string {
    switch (type) {
      case 'null':
        return '"null"';
      case 'boolean':
        return '("true" | "false")';
      case 'integer':
      case 'number': {
        const bounds = boundsOf(nodes, type === 'integer', this.#document);
        const digits = type === 'integer' ? integer(this.#rules, bounds) : decimal(this.#rules, bounds);
        if (digits === undefined)
          throw new SchemaError(nodes[0]?.at ?? '', 'No number is within the bounds.');
        return digits;
      }
      case 'string':
        return this.#string(nodes);
      case 'array':
        return this.#array(nodes);
      case 'object':
        return this.#object(nodes);
    }
  }

  #string(nodes: readonly Node[]): string {
    const counts = countsOf(nodes, 'minLength', 'maxLength', this.#document);
    const { least, most } = counts;
    const patterns = nodes.flatMap((node) => this.#patternsOf(node));
    const [first, second] = patterns;
    const isStrict = this.#document.strictness === 'refuse';
    if (first === undefined) {
      this.#noteLength(counts);
      return jsonString(this.#rules, least, most);
    }
    const different = second !== undefined && second.pattern !== first.pattern;
    if (isStrict && different) throw new SchemaError(second.at, 'One pattern or format can be enforced.');
    const isBounded = nodes.some(
      ({ schema }) => schema['minLength'] !== undefined || schema['maxLength'] !== undefined,
    );
    if (isStrict && isBounded) {
      throw new SchemaError(
        first.at,
        'This cannot be enforced beside minLength or maxLength. Leave one out.',
      );
    }
    try {
      return patternString(this.#rules, first.pattern);
    } catch (error) {
      if (!(error instanceof PatternError)) throw error;
      if (isStrict) throw new SchemaError(first.at, error.message);
      return jsonString(this.#rules, least, most);
    }
  }

  #noteLength({ least, most, leastAt, mostAt }: Counts): void {
    const long =
      most === undefined
        ? { at: leastAt, length: least, each: 1 }
        : { at: mostAt, length: most, each: elementsOfOptional };
    if (long.length * long.each > (this.#longest?.length ?? 0) * (this.#longest?.each ?? 0))
      this.#longest = long;
  }

  #patternsOf({ schema, at }: Node): readonly { readonly pattern: string; readonly at: string }[] {
    const found: { pattern: string; at: string }[] = [];
    const isStrict = this.#document.strictness === 'refuse';
    const { pattern, format } = schema;
    if (typeof pattern === 'string') found.push({ pattern, at: below(at, 'pattern') });
    else if (pattern !== undefined) throw new SchemaError(below(at, 'pattern'), 'This must be a text.');
    if (format === undefined) return found;
    const known = typeof format === 'string' ? formatPatterns.get(format) : undefined;
    if (known !== undefined) found.push({ pattern: known, at: below(at, 'format') });
    else if (isStrict) {
      throw new SchemaError(
        below(at, 'format'),
        `Of formats, ${[...formatPatterns.keys()].join(', ')} can be enforced.`,
      );
    }
    return found;
  }

  #array(nodes: readonly Node[]): string {
    const counts = countsOf(nodes, 'minItems', 'maxItems', this.#document);
    const { least, most } = counts;
    this.#noteLength(counts);
    const { prefix, rest } = this.#itemsOf(nodes);
    const at = nodes[0]?.at ?? '';
    if (rest === undefined && least > prefix.length) {
      throw new SchemaError(at, 'minItems asks for more items than there can be.');
    }
    const space = this.#space();
    const limit = Math.min(most ?? Infinity, rest === undefined ? prefix.length : Infinity);
    if (limit === 0) return this.#rules.add(`"[" ${space} "]"`);
    const fixed = prefix.slice(0, limit).map((item) => this.#compile(item, new Set()));
    const open = rest === undefined || limit <= fixed.length ? undefined : this.#compile(rest, new Set());
    // From the end to the beginning; each is what may come once so many items are there.
    const begun = Math.max(fixed.length, 1);
    let after = `${space} "]"`;
    if (open !== undefined) {
      const more = repeat(
        this.#rules.add(`"," ${space} ${open}`),
        Math.max(0, least - begun),
        limit === Infinity ? undefined : limit - begun,
      );
      after = this.#rules.add(`${more} ${after}`);
    }
    for (let index = fixed.length - 1; index > 0; index -= 1) {
      const next = `"," ${space} ${fixed[index] ?? ''} ${after}`;
      after = this.#rules.add(index < least ? next : `${next} | ${space} "]"`);
    }
    const first = fixed[0] ?? open ?? '';
    return this.#rules.add(`"[" ${space} ${least === 0 ? `("]" | ${first} ${after})` : `${first} ${after}`}`);
  }

  /** What stands at each place, and what at all after these; undefined: nothing may. */
  #itemsOf(nodes: readonly Node[]): {
    readonly prefix: readonly (readonly Node[])[];
    readonly rest: readonly Node[] | undefined;
  } {
    const prefixes = nodes.flatMap(({ schema, at }) => {
      // Lists of items are how it was written before prefixItems.
      const keyword = Array.isArray(schema['items']) ? 'items' : 'prefixItems';
      if (schema[keyword] === undefined) return [];
      const place = below(at, keyword);
      return [
        list(schema[keyword], place).map((item, index) => this.#document.node(item, below(place, index))),
      ];
    });
    const rests = nodes.filter(
      ({ schema }) => schema['items'] !== undefined && !Array.isArray(schema['items']),
    );
    const closed = rests.some(({ schema }) => schema['items'] === false);
    const rest = closed
      ? undefined
      : rests.map(({ schema, at }) => this.#document.node(schema['items'], below(at, 'items')));
    const [prefix] = prefixes;
    if (prefix === undefined) return { prefix: [], rest };
    if (prefixes.length > 1 || rests.length > 1) {
      throw new SchemaError(prefix[0]?.at ?? '', 'prefixItems in one of several schemas can be enforced.');
    }
    return { prefix: prefix.map((item) => [item]), rest: rests.length === 0 ? undefined : rest };
  }

  #object(nodes: readonly Node[]): string {
    const { declared, required, others } = fieldsOf(nodes, this.#document);
    const space = this.#space();
    const valueOf = (value: readonly Node[]): string =>
      value.length === 0 ? this.#any() : this.#compile(value, new Set());
    let isOptional = true;
    let more = this.#rules.add(`${space} "}"`);
    let next: string | undefined;
    let first = '"}"';
    if (others !== undefined) {
      const names = [...declared.keys()];
      if (names.join('').length > mostNameText) {
        throw new SchemaError(
          nodes[0]?.at ?? '',
          'Beside so many names no others can be enforced. Set additionalProperties to false.',
        );
      }
      const other = this.#rules.add(`${otherKey(this.#rules, names)} ":" ${space} ${valueOf(others)}`);
      const end = this.#rules.reserve();
      this.#rules.define(end, `"," ${space} ${other} ${end} | ${more}`);
      more = end;
      next = `${other} ${end}`;
      first = this.#rules.add(`${next} | "}"`);
    }
    for (const [name, value] of [...declared].reverse()) {
      const pair = `${literal(`${JSON.stringify(name)}:`)} ${space} ${valueOf(value)} ${more}`;
      const isRequired = required.has(name);
      first = this.#rules.add(isRequired ? pair : `${pair} | ${first}`);
      next = this.#rules.add(isRequired || next === undefined ? pair : `${pair} | ${next}`);
      isOptional &&= !isRequired;
      more = this.#rules.add(`"," ${space} ${next}${isOptional ? ` | ${space} "}"` : ''}`);
    }
    return this.#rules.add(`"{" ${space} ${first}`);
  }

  /** Any JSON value. */
  #any(): string {
    if (this.#anything !== undefined) return this.#anything;
    const value = this.#rules.reserve();
    this.#anything = value;
    const space = this.#space();
    const text = jsonString(this.#rules, 0, undefined);
    const number =
      decimal(this.#rules, { least: undefined, most: undefined, aboveLeast: false, belowMost: false }) ?? '';
    const pair = this.#rules.add(`${text} ":" ${space} ${value}`);
    const object = this.#rules.add(`"{" ${space} ("}" | ${pair} ("," ${space} ${pair})* ${space} "}")`);
    const array = this.#rules.add(`"[" ${space} ("]" | ${value} ("," ${space} ${value})* ${space} "]")`);
    this.#rules.define(value, `${object} | ${array} | ${text} | ${number} | "true" | "false" | "null"`);
    return value;
  }

  /** Where JSON may have blanks: none, one, or a new line with its indentation. */
  #space(): string {
    return this.#rules.add('"" | " " | "\\n" [ \\t]{0,20}');
  }
}

/** Whether a schema has any keyword left. */
function says({ schema }: Node): boolean {
  return Object.keys(schema).length > 0;
}
