import type { GbnfRules, Ranges } from './gbnf-rules.js';
import { repeat } from './gbnf-rules.js';
import { anyCharacter, normalize, stringCharacter, subtract, writtenCharacter } from './json-strings.js';

/**
 * Regular expressions as JSON Schema has them (those of JavaScript, by code points), as far as they are regular and
 * their meaning does not depend on what surrounds them: characters, classes, groups, alternatives, repetitions, and
 * `^` and `$` at the two ends. No look-around, no back references, no word borders.
 */

/** Longest pattern, in UTF-16 units. */
const longestPattern = 1024;
/** Most that a bounded repetition may repeat. */
const mostTimes = 1000;
const deepestGroup = 32;

/** The pattern is none that can be enforced. `message` says what in it. */
export class PatternError extends Error {
  override readonly name = 'PatternError';
}

/** A JSON string that `pattern` matches, quotes included. @throws PatternError. */
export function patternString(rules: GbnfRules, pattern: string): string {
  if (pattern.length > longestPattern) {
    throw new PatternError(`A pattern may have ${longestPattern} characters.`);
  }
  const branches = new PatternReader(rules, pattern).read();
  const any = `${stringCharacter(rules)}*`;
  const body = branches.map(({ expression, begins, ends }) =>
    [begins ? '' : any, expression, ends ? '' : any].filter((part) => part !== '').join(' '),
  );
  return rules.add(`"\\"" ${body.length === 1 ? body.join('') : `(${body.join(' | ')})`} "\\""`);
}

/** An alternative at the top, and at which ends it is anchored. */
interface Branch {
  readonly expression: string;
  readonly begins: boolean;
  readonly ends: boolean;
}

const digits: Ranges = [[0x30, 0x39]];
const word: Ranges = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const blank: Ranges = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x16_80, 0x16_80],
  [0x20_00, 0x20_0a],
  [0x20_28, 0x20_29],
  [0x20_2f, 0x20_2f],
  [0x20_5f, 0x20_5f],
  [0x30_00, 0x30_00],
  [0xfe_ff, 0xfe_ff],
];
const lineEnds: Ranges = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x20_28, 0x20_29],
];
const classes: Readonly<Record<string, Ranges>> = {
  d: digits,
  D: subtract(anyCharacter, digits),
  w: word,
  W: subtract(anyCharacter, word),
  s: blank,
  S: subtract(anyCharacter, blank),
};
const named: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, f: 0x0c, v: 0x0b, 0: 0 };
const syntax = '^$\\.*+?()[]{}|/-';

class PatternReader {
  readonly #rules: GbnfRules;
  readonly #characters: readonly string[];
  #position = 0;
  #depth = 0;

  constructor(rules: GbnfRules, pattern: string) {
    this.#rules = rules;
    this.#characters = Array.from(pattern);
  }

  read(): readonly Branch[] {
    const branches = [this.#branch()];
    while (this.#take('|')) branches.push(this.#branch());
    if (this.#peek() !== undefined) throw new PatternError('The pattern has a parenthesis too many.');
    return branches;
  }

  #branch(): Branch {
    const begins = this.#take('^');
    const expression = this.#sequence();
    const ends = this.#take('$');
    return { expression, begins, ends };
  }

  #sequence(): string {
    const parts: string[] = [];
    for (;;) {
      const part = this.#part();
      if (part === undefined) return parts.join(' ');
      parts.push(part);
    }
  }

  /** Something with its repetition; undefined at the end of a sequence. */
  #part(): string | undefined {
    const next = this.#peek();
    if (next === undefined || next === '|' || next === ')' || next === '$') return undefined;
    if (next === '^') throw new PatternError('A ^ may stand at the beginning only.');
    const one = this.#one();
    const bounds = this.#bounds();
    if (bounds === undefined) return one;
    // How much is taken first makes no difference to what fits.
    this.#take('?');
    return repeat(one, bounds.least, bounds.most);
  }

  #one(): string {
    if (this.#take('(')) return this.#group();
    if (this.#take('.')) return this.#written(subtract(anyCharacter, lineEnds));
    if (this.#take('[')) return this.#written(this.#class());
    if (this.#take('\\')) return this.#written(this.#escape(false));
    const next = this.#next();
    if ('*+?{}]'.includes(next))
      throw new PatternError('The pattern repeats nothing, or has a bracket too many.');
    return this.#written(single(next));
  }

  #group(): string {
    this.#depth += 1;
    if (this.#depth > deepestGroup) throw new PatternError('The pattern nests its groups too deeply.');
    if (this.#take('?') && !this.#take(':')) {
      throw new PatternError('Of groups in a pattern only (…) and (?:…) can be enforced.');
    }
    const sequences = [this.#sequence()];
    while (this.#take('|')) sequences.push(this.#sequence());
    if (!this.#take(')')) throw new PatternError('A $ may stand at the end only, and each group must end.');
    this.#depth -= 1;
    return this.#rules.add(sequences.map((one) => (one === '' ? '""' : one)).join(' | '));
  }

  #bounds(): { readonly least: number; readonly most: number | undefined } | undefined {
    if (this.#take('*')) return { least: 0, most: undefined };
    if (this.#take('+')) return { least: 1, most: undefined };
    if (this.#take('?')) return { least: 0, most: 1 };
    if (!this.#take('{')) return undefined;
    const least = this.#number();
    const open = this.#take(',');
    const most = open ? this.#number() : least;
    if (least === undefined || !this.#take('}')) throw new PatternError('The pattern has a { that is none.');
    if (Math.max(least, most ?? 0) > mostTimes) {
      throw new PatternError(`A pattern may repeat ${mostTimes} times.`);
    }
    if (most !== undefined && most < least) throw new PatternError('The pattern repeats backwards.');
    return { least, most };
  }

  #number(): number | undefined {
    let text = '';
    while (/^\d$/u.test(this.#peek() ?? '') && text.length < 6) text += this.#next();
    return text === '' ? undefined : Number(text);
  }

  #class(): Ranges {
    const negated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    while (!this.#take(']')) {
      const from = this.#classPart();
      const isRange = this.#peek() === '-' && this.#characters[this.#position + 1] !== ']';
      if (!isRange) {
        ranges.push(...from);
        continue;
      }
      this.#position += 1;
      const to = this.#classPart();
      const [first, last] = [from[0]?.[0], to[0]?.[0]];
      const areSingle = from.length === 1 && to.length === 1 && from[0]?.[1] === first && to[0]?.[1] === last;
      if (!areSingle || first === undefined || last === undefined || last < first) {
        throw new PatternError('The pattern has a range that is none.');
      }
      ranges.push([first, last]);
    }
    return negated ? subtract(anyCharacter, ranges) : normalize(ranges);
  }

  #classPart(): Ranges {
    return this.#take('\\') ? this.#escape(true) : single(this.#next());
  }

  #escape(inClass: boolean): Ranges {
    const next = this.#next();
    const known = classes[next];
    if (known !== undefined) return known;
    const code = named[next];
    if (code !== undefined) return [[code, code]];
    if (next === 'x') return this.#hex(2);
    if (next === 'u') return this.#hex(4);
    if (inClass && next === 'b') return [[0x08, 0x08]];
    if (syntax.includes(next)) return single(next);
    throw new PatternError('The pattern has an escape that cannot be enforced.');
  }

  #hex(length: number): Ranges {
    let text = '';
    for (let index = 0; index < length; index += 1) text += this.#next();
    if (!/^[0-9a-fA-F]+$/u.test(text)) throw new PatternError('The pattern has an escape that is none.');
    const code = Number.parseInt(text, 16);
    if (code >= 0xd8_00 && code <= 0xdf_ff) throw new PatternError('The pattern names half a character.');
    return [[code, code]];
  }

  #written(ranges: Ranges): string {
    const expression = writtenCharacter(this.#rules, ranges);
    if (expression === undefined) throw new PatternError('The pattern has a class without characters.');
    return expression;
  }

  #take(character: string): boolean {
    if (this.#characters[this.#position] !== character) return false;
    this.#position += 1;
    return true;
  }

  #peek(): string | undefined {
    return this.#characters[this.#position];
  }

  #next(): string {
    const next = this.#characters[this.#position];
    if (next === undefined) throw new PatternError('The pattern ends too early.');
    this.#position += 1;
    return next;
  }
}

function single(character: string): Ranges {
  const code = character.codePointAt(0) ?? 0;
  if (code >= 0xd8_00 && code <= 0xdf_ff) throw new PatternError('The pattern has half a character.');
  return [[code, code]];
}
