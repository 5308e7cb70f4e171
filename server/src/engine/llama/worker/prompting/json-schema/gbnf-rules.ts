import { SchemaError } from './schema-error.js';

/** Most rules of one grammar. */
const mostRules = 20_000;
/** Longest grammar that is made, in UTF-16 units. */
const longestGrammar = 512 * 1024;

/**
 * The rules of a grammar while it is made. Equal rules are kept once. An expression, here and in what uses this, is a
 * text in GBNF that can stand anywhere in a sequence.
 */
export class GbnfRules {
  readonly #rules = new Map<string, string>();
  readonly #names = new Map<string, string>();
  #length = 0;

  /** An expression for `body`, which may have alternatives at its top. */
  add(body: string): string {
    const known = this.#names.get(body);
    if (known !== undefined) return known;
    const name = this.reserve();
    this.define(name, body);
    this.#names.set(body, name);
    return name;
  }

  /** A name whose rule follows; so rules can name themselves. */
  reserve(): string {
    if (this.#rules.size >= mostRules) throw tooLarge();
    const name = `r${this.#rules.size}`;
    this.#rules.set(name, '');
    return name;
  }

  define(name: string, body: string): void {
    this.#length += name.length + body.length + 6;
    if (this.#length > longestGrammar) throw tooLarge();
    this.#rules.set(name, body);
  }

  /** The grammar whose beginning is `root`. */
  text(root: string): string {
    const lines = [...this.#rules].map(([name, body]) => `${name} ::= ${body}`);
    return [`root ::= ${root}`, ...lines].join('\n');
  }
}

function tooLarge(): SchemaError {
  return new SchemaError('', 'It is too large to be enforced. Use fewer or smaller parts.');
}

/** An expression for exactly `text`. */
export function literal(text: string): string {
  return `"${Array.from(text, (character) => escapeCharacter(character.codePointAt(0) ?? 0, '"')).join('')}"`;
}

/** Inclusive ranges of code points, in order and apart. */
export type Ranges = readonly (readonly [number, number])[];

/** An expression for one character of `ranges`, of which there is at least one. */
export function characterClass(ranges: Ranges): string {
  const parts = ranges.map(([from, to]) => {
    const [first, last] = [escapeCharacter(from, ']'), escapeCharacter(to, ']')];
    return from === to ? first : `${first}-${last}`;
  });
  return `[${parts.join('')}]`;
}

function escapeCharacter(code: number, closing: '"' | ']'): string {
  const character = String.fromCodePoint(code);
  const isPlain = code >= 0x20 && code < 0x7f && !'\\^-["]'.includes(character);
  const isHarmless = closing === '"' && '^-[]'.includes(character);
  if (isPlain || isHarmless) return character;
  const hex = (digits: number): string => code.toString(16).toUpperCase().padStart(digits, '0');
  if (code <= 0xff) return `\\x${hex(2)}`;
  return code <= 0xff_ff ? `\\u${hex(4)}` : `\\U${hex(8)}`;
}

/** llama.cpp's parser takes no part that has to come more often than 1999 times. */
const mostInOne = 1000;

/** `expression` so many times; `most` undefined: without an end. It may be a sequence. */
export function repeat(expression: string, least: number, most: number | undefined): string {
  if (least > mostInOne) {
    const rest = repeat(expression, least - mostInOne, most === undefined ? undefined : most - mostInOne);
    return `${expression}{${mostInOne}} ${rest}`;
  }
  if (most === undefined) return least === 0 ? `${expression}*` : `${expression}{${least},}`;
  if (most === 0) return '""';
  return least === most ? `${expression}{${least}}` : `${expression}{${least},${most}}`;
}

/** One of `expressions`, of which there is at least one. */
export function oneOf(expressions: readonly string[]): string {
  const different = [...new Set(expressions)];
  const [only = '""'] = different;
  return different.length === 1 ? only : `(${different.join(' | ')})`;
}
