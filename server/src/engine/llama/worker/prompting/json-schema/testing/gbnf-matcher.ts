/**
 * A small reader and matcher of GBNF for tests, written apart from the one that the product has: rules, texts, classes,
 * groups and repetitions. It also writes random texts of a grammar.
 */

type Expression =
  | { readonly kind: 'character'; readonly has: (code: number) => boolean; readonly some: readonly number[] }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'choice'; readonly parts: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly part: Expression; readonly least: number; readonly most: number }
  | { readonly kind: 'rule'; readonly name: string };

export class TestGrammar {
  readonly #rules = new Map<string, Expression>();
  readonly #depths = new Map<string, number>();

  constructor(text: string) {
    for (const line of text.split('\n')) {
      const found = /^([\w-]+) ::= (.*)$/u.exec(line);
      if (found === null) throw new Error(`no rule: ${line.slice(0, 80)}`);
      const [, name = '', body = ''] = found;
      this.#rules.set(name, new LineReader(body).read());
    }
    this.#measure();
  }

  /** Whether `text` as a whole is one of the grammar. */
  accepts(text: string): boolean {
    const codes = Array.from(text, (character) => character.codePointAt(0) ?? 0);
    const known = new Map<string, ReadonlySet<number>>();
    const match = (expression: Expression, from: number): ReadonlySet<number> => {
      switch (expression.kind) {
        case 'character':
          return from < codes.length && expression.has(codes[from] ?? 0) ? new Set([from + 1]) : new Set();
        case 'rule': {
          const key = `${expression.name} ${from}`;
          const ends = known.get(key) ?? match(this.#rule(expression.name), from);
          known.set(key, ends);
          return ends;
        }
        case 'choice':
          return new Set(expression.parts.flatMap((part) => [...match(part, from)]));
        case 'sequence':
          return expression.parts.reduce<ReadonlySet<number>>(
            (starts, part) => new Set([...starts].flatMap((start) => [...match(part, start)])),
            new Set([from]),
          );
        case 'repeat': {
          const ends = new Set<number>(expression.least === 0 ? [from] : []);
          let starts: ReadonlySet<number> = new Set([from]);
          const seen = new Set<number>();
          for (let time = 1; time <= expression.most && starts.size > 0; time += 1) {
            starts = new Set([...starts].flatMap((start) => [...match(expression.part, start)]));
            if (time >= expression.least) {
              starts = new Set([...starts].filter((start) => !seen.has(start)));
              for (const end of starts) {
                seen.add(end);
                ends.add(end);
              }
            }
          }
          return ends;
        }
      }
    };
    return match(this.#rule('root'), 0).has(codes.length);
  }

  /** A text of the grammar; `choose(n)` gives a number below n. Beyond `depth` the shortest way is taken. */
  write(choose: (below: number) => number, depth = 40): string {
    let out = '';
    const walk = (expression: Expression, left: number): void => {
      switch (expression.kind) {
        case 'character':
          out += String.fromCodePoint(expression.some[choose(expression.some.length)] ?? 0x61);
          return;
        case 'rule':
          walk(this.#rule(expression.name), left - 1);
          return;
        case 'sequence':
          for (const part of expression.parts) walk(part, left);
          return;
        case 'choice': {
          const able =
            left > 0
              ? expression.parts
              : expression.parts
                  .toSorted((one, other) => this.#depthOf(one) - this.#depthOf(other))
                  .slice(0, 1);
          const part = able[choose(able.length)];
          if (part !== undefined) walk(part, left);
          return;
        }
        case 'repeat': {
          const extra = left > 0 ? choose(Math.min(3, expression.most - expression.least + 1)) : 0;
          for (let time = 0; time < expression.least + extra; time += 1) walk(expression.part, left);
        }
      }
    };
    walk(this.#rule('root'), depth);
    return out;
  }

  #rule(name: string): Expression {
    const rule = this.#rules.get(name);
    if (rule === undefined) throw new Error(`no rule ${name}`);
    return rule;
  }

  /** How deep rules lead at least, for each. */
  #measure(): void {
    for (let changed = true; changed;) {
      changed = false;
      for (const [name, rule] of this.#rules) {
        const depth = this.#depthOf(rule) + 1;
        if (depth < (this.#depths.get(name) ?? Infinity)) {
          this.#depths.set(name, depth);
          changed = true;
        }
      }
    }
  }

  #depthOf(expression: Expression): number {
    switch (expression.kind) {
      case 'character':
        return 0;
      case 'rule':
        return this.#depths.get(expression.name) ?? Infinity;
      case 'choice':
        return Math.min(...expression.parts.map((part) => this.#depthOf(part)));
      case 'sequence':
        return Math.max(0, ...expression.parts.map((part) => this.#depthOf(part)));
      case 'repeat':
        return expression.least === 0 ? 0 : this.#depthOf(expression.part);
    }
  }
}

class LineReader {
  readonly #text: readonly string[];
  #at = 0;

  constructor(text: string) {
    this.#text = Array.from(text);
  }

  read(): Expression {
    const expression = this.#choice();
    if (this.#at < this.#text.length) throw new Error('text behind a rule');
    return expression;
  }

  #choice(): Expression {
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : { kind: 'choice', parts };
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    for (;;) {
      this.#blanks();
      const next = this.#text[this.#at];
      if (next === undefined || next === '|' || next === ')') return { kind: 'sequence', parts };
      parts.push(this.#repeated(this.#one()));
    }
  }

  #one(): Expression {
    if (this.#take('"')) {
      const parts: Expression[] = [];
      while (!this.#take('"', false)) {
        const code = this.#code();
        parts.push({ kind: 'character', has: (one) => one === code, some: [code] });
      }
      return { kind: 'sequence', parts };
    }
    if (this.#take('[')) return this.#class();
    if (this.#take('(')) {
      const inner = this.#choice();
      if (!this.#take(')')) throw new Error('open group');
      return inner;
    }
    let name = '';
    while (/^[\w-]$/u.test(this.#text[this.#at] ?? '')) name += this.#text[this.#at++] ?? '';
    if (name === '') throw new Error(`nothing to read at ${this.#at}`);
    return { kind: 'rule', name };
  }

  #class(): Expression {
    const negated = this.#take('^', false);
    const ranges: [number, number][] = [];
    while (!this.#take(']', false)) {
      const from = this.#code();
      const isRange = this.#text[this.#at] === '-' && this.#text[this.#at + 1] !== ']';
      if (isRange) this.#at += 1;
      ranges.push([from, isRange ? this.#code() : from]);
    }
    const inside = (code: number): boolean => ranges.some(([from, to]) => from <= code && code <= to);
    const some = negated
      ? ['a', 'z', ' ', '~', 'é', '💡'].map((one) => one.codePointAt(0) ?? 0).filter((code) => !inside(code))
      : ranges.flatMap(([from, to]) => [from, to]).filter((code) => code < 0xd8_00 || code > 0xdf_ff);
    return { kind: 'character', has: (code) => inside(code) !== negated, some };
  }

  #repeated(part: Expression): Expression {
    if (this.#take('*', false)) return this.#repeated({ kind: 'repeat', part, least: 0, most: Infinity });
    if (this.#take('+', false)) return this.#repeated({ kind: 'repeat', part, least: 1, most: Infinity });
    if (this.#take('?', false)) return this.#repeated({ kind: 'repeat', part, least: 0, most: 1 });
    if (!this.#take('{', false)) return part;
    let inside = '';
    while (!this.#take('}', false)) inside += this.#text[this.#at++] ?? '';
    const [least = '', most] = inside.split(',');
    const to = most === undefined ? Number(least) : most === '' ? Infinity : Number(most);
    return { kind: 'repeat', part, least: Number(least), most: to };
  }

  #code(): number {
    const character = this.#text[this.#at++] ?? '';
    if (character !== '\\') return character.codePointAt(0) ?? 0;
    const escape = this.#text[this.#at++] ?? '';
    const digits = { x: 2, u: 4, U: 8 }[escape];
    if (digits !== undefined) {
      const hex = this.#text.slice(this.#at, this.#at + digits).join('');
      this.#at += digits;
      return Number.parseInt(hex, 16);
    }
    return { n: 10, r: 13, t: 9 }[escape] ?? escape.codePointAt(0) ?? 0;
  }

  #take(character: string, blanks = true): boolean {
    if (blanks) this.#blanks();
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #blanks(): void {
    while (this.#text[this.#at] === ' ') this.#at += 1;
  }
}
