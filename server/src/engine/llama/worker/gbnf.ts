/**
 * Reads GBNF, the grammar notation of llama.cpp, as far as its size and shape go. Source of the notation: the parser
 * of llama.cpp, which this follows. What this cannot read that one refuses too.
 */

/** One part of a sequence. */
export type GbnfItem =
  /** Characters that must come, by their classes (see {@link otherCharacter}); `size`: elements that llama.cpp keeps. */
  | {
      readonly kind: 'text';
      readonly first: ReadonlySet<number>;
      /** Classes of the characters that follow the first, each of one class; at most {@link rememberedCharacters}. */
      readonly rest: readonly number[];
      readonly length: number;
      readonly size: number;
    }
  | { readonly kind: 'rule'; readonly name: string }
  | { readonly kind: 'group'; readonly alternatives: readonly GbnfSequence[] }
  /** `most` is Infinity where it has no end. */
  | { readonly kind: 'repeat'; readonly item: GbnfItem; readonly least: number; readonly most: number };

export type GbnfSequence = readonly GbnfItem[];

/** Rules by name; each is its alternatives. */
export type Gbnf = ReadonlyMap<string, readonly GbnfSequence[]>;

/** The class of all characters that are not ASCII; an ASCII character is its own class. */
export const otherCharacter = 128;

/** Characters of a text whose classes are kept, beside its first. */
export const rememberedCharacters = 15;

/** A grammar that is not one, or that is too deep to be read. `message` is for people and holds no content. */
export class GbnfError extends Error {
  override readonly name = 'GbnfError';
}

/** Deepest nesting of groups in a grammar. llama.cpp's parser calls itself for each and would run out of stack. */
export const deepestGroups = 200;

/** Most repetitions of one part, each of the one before. Two have no use. */
const mostInARow = 8;

const anything: ReadonlySet<number> = new Set(
  Array.from({ length: otherCharacter + 1 }, (_, index) => index),
);
const hexDigits: ReadonlyMap<string, number> = new Map([
  ['x', 2],
  ['u', 4],
  ['U', 8],
]);
const wordCharacter = /[a-zA-Z0-9-]/u;
const word = /[a-zA-Z0-9-]+/uy;
const blanks = /(?:[ \t]|#[^\r\n]*)*/uy;
const blanksAndLines = /(?:[ \t\r\n]|#[^\r\n]*)*/uy;
const digits = /\d+/uy;
const token = /!?<[^>]*>/uy;

/** @throws GbnfError where the text is no grammar. Takes time in proportion to its length. */
export function readGbnf(text: string): Gbnf {
  // llama.cpp sees a text that ends at its first NUL.
  return new Reader(text.split('\0', 1)[0] ?? '').read();
}

class Reader {
  readonly #text: string;
  #position = 0;
  #depth = 0;
  /** Repetitions since the last other part. */
  #inARow = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): Gbnf {
    const rules = new Map<string, readonly GbnfSequence[]>();
    this.#skip(true);
    while (this.#position < this.#text.length) {
      const name = this.#match(word)?.[0];
      if (name === undefined) throw notValid();
      this.#skip(false);
      if (!this.#text.startsWith('::=', this.#position)) throw notValid();
      this.#position += 3;
      this.#skip(true);
      rules.set(name, this.#alternatives(false));
      if (this.#position < this.#text.length && !/[\r\n]/u.test(this.#peek())) throw notValid();
      this.#skip(true);
    }
    return rules;
  }

  #alternatives(nested: boolean): readonly GbnfSequence[] {
    const alternatives = [this.#sequence(nested)];
    while (this.#peek() === '|') {
      this.#position += 1;
      this.#skip(true);
      alternatives.push(this.#sequence(nested));
    }
    return alternatives;
  }

  #sequence(nested: boolean): GbnfSequence {
    const items: GbnfItem[] = [];
    for (;;) {
      const item = this.#item();
      if (item !== undefined) {
        items.push(item);
        this.#inARow = 0;
      } else {
        const bounds = this.#repetition();
        if (bounds === undefined) return items;
        const repeated = items.pop();
        this.#inARow += 1;
        if (repeated === undefined || this.#inARow > mostInARow) throw notValid();
        items.push({ kind: 'repeat', item: repeated, ...bounds });
      }
      this.#skip(nested);
    }
  }

  #item(): GbnfItem | undefined {
    const next = this.#peek();
    if (next === '"') return this.#literal();
    if (next === '[') return this.#characters();
    if (next === '(') return this.#group();
    if (next === '.') {
      this.#position += 1;
      return { kind: 'text', first: anything, rest: [], length: 1, size: 1 };
    }
    if (next === '<' || next === '!') {
      if (this.#match(token) === undefined) throw notValid();
      return { kind: 'text', first: anything, rest: [], length: 1, size: 1 };
    }
    const name = wordCharacter.test(next) ? this.#match(word)?.[0] : undefined;
    return name === undefined ? undefined : { kind: 'rule', name };
  }

  #repetition(): { least: number; most: number } | undefined {
    const bounds = simpleRepetitions.get(this.#peek());
    if (bounds !== undefined) {
      this.#position += 1;
      return bounds;
    }
    return this.#peek() === '{' ? this.#braces() : undefined;
  }

  #braces(): { least: number; most: number } {
    // Step by step: one pattern for all of it could try blanks and comments in endless ways.
    const step = (): void => {
      this.#position += 1;
      this.#skip(true);
    };
    const number = (): number | undefined => {
      const found = this.#match(digits)?.[0];
      this.#skip(true);
      return found === undefined ? undefined : Number(found);
    };
    step();
    const least = number();
    let most = least;
    if (this.#peek() === ',') {
      step();
      most = number() ?? Infinity;
    }
    // llama.cpp would count from one to the other the long way round.
    if (least === undefined || most === undefined || most < least || this.#peek() !== '}') throw notValid();
    this.#position += 1;
    return { least, most };
  }

  #literal(): GbnfItem {
    this.#position += 1;
    const first = new Set<number>();
    const rest: number[] = [];
    let length = 0;
    while (this.#peek() !== '"') {
      const code = this.#character();
      if (length === 0) first.add(classOf(code));
      else if (length <= rememberedCharacters) rest.push(classOf(code));
      length += 1;
    }
    this.#position += 1;
    return { kind: 'text', first, rest, length, size: length };
  }

  #characters(): GbnfItem {
    this.#position += 1;
    const negated = this.#peek() === '^';
    if (negated) this.#position += 1;
    const classes = new Set<number>();
    let size = 0;
    while (this.#peek() !== ']') {
      const from = this.#character();
      let to = from;
      size += 1;
      if (this.#peek() === '-' && this.#text[this.#position + 1] !== ']') {
        this.#position += 1;
        to = this.#character();
        size += 1;
      }
      for (let code = from; code <= Math.min(to, otherCharacter); code += 1) classes.add(code);
      if (to >= otherCharacter) classes.add(otherCharacter);
    }
    this.#position += 1;
    // A class that names some characters of a kind still leaves others of it.
    const first = negated
      ? new Set([...anything].filter((one) => one === otherCharacter || !classes.has(one)))
      : classes;
    return { kind: 'text', first, rest: [], length: Math.min(size, 1), size };
  }

  #group(): GbnfItem {
    this.#depth += 1;
    if (this.#depth > deepestGroups) {
      throw new GbnfError('The grammar nests its groups too deeply. Use rules in their place.');
    }
    this.#position += 1;
    this.#skip(true);
    const alternatives = this.#alternatives(true);
    if (this.#peek() !== ')') throw notValid();
    this.#position += 1;
    this.#depth -= 1;
    return { kind: 'group', alternatives };
  }

  #character(): number {
    const code = this.#text.codePointAt(this.#position);
    if (code === undefined) throw notValid();
    if (code !== 0x5c) {
      this.#position += code > 0xff_ff ? 2 : 1;
      return code;
    }
    const escape = this.#text[this.#position + 1] ?? '';
    const digits = hexDigits.get(escape) ?? 0;
    const hex = this.#text.slice(this.#position + 2, this.#position + 2 + digits);
    this.#position += 2 + digits;
    if (digits > 0) {
      if (hex.length < digits || !/^[0-9a-fA-F]+$/u.test(hex)) throw notValid();
      return Number.parseInt(hex, 16);
    }
    const named = escapes.get(escape);
    if (named === undefined) throw notValid();
    return named;
  }

  #peek(): string {
    return this.#text[this.#position] ?? '';
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#position;
    const found = pattern.exec(this.#text);
    if (found === null) return undefined;
    this.#position = pattern.lastIndex;
    return found;
  }

  #skip(lines: boolean): void {
    this.#match(lines ? blanksAndLines : blanks);
  }
}

const simpleRepetitions: ReadonlyMap<string, { least: number; most: number }> = new Map([
  ['*', { least: 0, most: Infinity }],
  ['+', { least: 1, most: Infinity }],
  ['?', { least: 0, most: 1 }],
]);

const escapes: ReadonlyMap<string, number> = new Map([
  ['t', 9],
  ['r', 13],
  ['n', 10],
  ...['\\', '"', '[', ']', '-'].map((character): [string, number] => [character, character.charCodeAt(0)]),
]);

function classOf(code: number): number {
  return Math.min(code, otherCharacter);
}

function notValid(): GbnfError {
  return new GbnfError('The grammar is not valid GBNF.');
}
