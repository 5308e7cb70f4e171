import { GbnfError, readGbnf } from '../../gbnf.js';
import type { Gbnf, GbnfItem } from '../../gbnf.js';
import { countElements, mostElements } from '../../grammar-guard.js';
import { GbnfRules } from './gbnf-rules.js';
import type { Strictness } from './nodes.js';
import { SchemaCompiler } from './schema-compiler.js';
import type { LongPart } from './schema-compiler.js';
import { SchemaError } from './schema-error.js';

/**
 * A grammar in GBNF for JSON that is valid under a JSON Schema (2020-12, and what of it earlier drafts write alike).
 * What the grammar allows the schema allows; in the other direction a value is written in one way only: properties in
 * the order in which they are declared, one space or line break where JSON may have blanks.
 *
 * @throws SchemaError with the JSON pointer of what cannot be enforced.
 */
export function schemaGrammar(schema: unknown, strictness: Strictness = 'refuse'): string {
  const rules = new GbnfRules();
  return rules.text(schemaRules(rules, schema, strictness, (root) => rules.text(root)));
}

/**
 * An expression for the values of `schema`, its rules added to `rules`.
 *
 * @param grammarOf The grammar as it is now, with such an expression as its root.
 * @param only What a value must be, whatever the schema says.
 */
export function schemaRules(
  rules: GbnfRules,
  schema: unknown,
  strictness: Strictness,
  grammarOf: (root: string) => string = (root) => rules.text(root),
  only?: 'object',
): string {
  try {
    const compiler = new SchemaCompiler(rules, schema, strictness);
    const root = compiler.compile(schema, only);
    const grammar = readGbnf(grammarOf(root));
    refuseTooLong(grammar, compiler.longest);
    const endless = findEndless(grammar);
    for (const [rule, at] of compiler.places()) {
      if (endless.has(rule)) {
        throw new SchemaError(
          at,
          'A value of this never ends: it needs another of its kind. Make one optional.',
        );
      }
    }
    return root;
  } catch (error) {
    // The stack: some part leads too deep.
    if (error instanceof RangeError || error instanceof GbnfError) {
      throw new SchemaError('', 'It nests too deeply to be enforced.');
    }
    throw error;
  }
}

/** Says which length has to be smaller, where lengths make the grammar too large. @throws SchemaError */
function refuseTooLong(grammar: Gbnf, longest: LongPart | undefined): void {
  const excess = countElements(grammar) - mostElements;
  if (excess <= 0 || longest === undefined) return;
  const { at, length, each } = longest;
  const accepted = Math.floor(length - excess / each);
  throw new SchemaError(
    at,
    accepted > 0
      ? `With all else in the schema lengths up to ${accepted} can be enforced here. Set that or less, or leave it out.`
      : 'The lengths in the schema are too many to be enforced together. Leave some of them out.',
  );
}

/** Rules that no text of finite length can meet. */
function findEndless(grammar: Gbnf): ReadonlySet<string> {
  const endless = new Set(grammar.keys());
  const ends = (item: GbnfItem): boolean => {
    switch (item.kind) {
      case 'text':
        return true;
      case 'rule':
        return !endless.has(item.name);
      case 'group':
        return item.alternatives.some((sequence) => sequence.every(ends));
      case 'repeat':
        return item.least === 0 || ends(item.item);
    }
  };
  for (let before = -1; before !== endless.size;) {
    before = endless.size;
    // Rules that others need stand behind them.
    for (const name of [...endless].reverse()) {
      if (grammar.get(name)?.some((sequence) => sequence.every(ends)) === true) endless.delete(name);
    }
  }
  return endless;
}
