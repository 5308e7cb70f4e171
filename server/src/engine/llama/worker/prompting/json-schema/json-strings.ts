import type { GbnfRules, Ranges } from './gbnf-rules.js';
import { characterClass, literal, oneOf, repeat } from './gbnf-rules.js';

/** Characters of JSON strings, as they are written there. */

const lastCode = 0x10_ff_ff;
/** All characters that are any: surrogates are halves of one. */
export const anyCharacter: Ranges = [
  [0, 0xd7_ff],
  [0xe0_00, lastCode],
];

/** How JSON writes what cannot stand for itself, where there is a short way. */
const shortEscapes: ReadonlyMap<number, string> = new Map([
  [0x22, '\\"'],
  [0x5c, '\\\\'],
  [0x08, '\\b'],
  [0x0c, '\\f'],
  [0x0a, '\\n'],
  [0x0d, '\\r'],
  [0x09, '\\t'],
]);

/** One character of any kind, in each way that JSON can write it, but for halves of surrogate pairs. */
export function stringCharacter(rules: GbnfRules): string {
  const hex = '[0-9a-fA-F]';
  const unicode = `"u" ([0-9a-cA-CefEF] ${hex}{3} | [dD] [0-7] ${hex}{2})`;
  return rules.add(`[^"\\\\\\x00-\\x1F] | "\\\\" (["\\\\/bfnrt] | ${unicode})`);
}

/** A string of so many characters. */
export function jsonString(rules: GbnfRules, least: number, most: number | undefined): string {
  return rules.add(`"\\"" ${repeat(stringCharacter(rules), least, most)} "\\""`);
}

/** One character of `ranges`, as JSON writes it; undefined: there is none. */
export function writtenCharacter(rules: GbnfRules, ranges: Ranges): string | undefined {
  const raw = subtract(ranges, [
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c],
    [0xd8_00, 0xdf_ff],
  ]);
  const escaped = [...Array.from({ length: 0x20 }, (_, code) => code), 0x22, 0x5c]
    .filter((code) => ranges.some(([from, to]) => from <= code && code <= to))
    .map((code) => literal(shortEscapes.get(code) ?? `\\u${code.toString(16).padStart(4, '0')}`));
  const alternatives = [...(raw.length === 0 ? [] : [characterClass(raw)]), ...escaped];
  if (alternatives.length === 0) return undefined;
  return alternatives.length === 1 ? oneOf(alternatives) : rules.add(alternatives.join(' | '));
}

/** `ranges` in order, without gaps or overlaps between neighbours. */
export function normalize(ranges: Ranges): Ranges {
  const merged: [number, number][] = [];
  for (const [from, to] of ranges.toSorted((one, other) => one[0] - other[0])) {
    const last = merged.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

/** What of `ranges` is not in `without`. */
export function subtract(ranges: Ranges, without: Ranges): Ranges {
  let rest: Ranges = normalize(ranges);
  for (const [from, to] of without) {
    rest = rest.flatMap(([first, last]): [number, number][] => {
      const left: [number, number][] = first < from ? [[first, Math.min(last, from - 1)]] : [];
      const right: [number, number][] = last > to ? [[Math.max(first, to + 1), last]] : [];
      return last < from || first > to ? [[first, last]] : [...left, ...right];
    });
  }
  return rest;
}

/**
 * A key that is none of `names`: everything that leaves their tree of characters. It is written without escapes, so
 * that no key can be written in a second way.
 */
export function otherKey(rules: GbnfRules, names: readonly string[]): string {
  const plain = subtract(anyCharacter, [
    [0, 0x1f],
    [0x22, 0x22],
    [0x5c, 0x5c],
  ]);
  const rest = rules.add(repeat(characterClass(plain), 0, undefined));
  const characters = names.map((name) => Array.from(name, (character) => character.codePointAt(0) ?? 0));
  const node = (inside: readonly (readonly number[])[], depth: number): string => {
    const groups = new Map<number, (readonly number[])[]>();
    for (const name of inside) {
      const code = name[depth];
      if (code !== undefined) groups.set(code, [...(groups.get(code) ?? []), name]);
    }
    const isName = inside.some((name) => name.length === depth);
    const leaves = subtract(
      plain,
      [...groups.keys()].map((code) => [code, code] as const),
    );
    const alternatives = [...groups]
      // A name that needs escapes cannot be written here anyway.
      .filter(([code]) => plain.some(([from, to]) => from <= code && code <= to))
      .map(([code, group]) => `${literal(String.fromCodePoint(code))} ${node(group, depth + 1)}`);
    alternatives.push(`${characterClass(leaves)} ${rest}`);
    if (!isName) alternatives.push('""');
    return rules.add(alternatives.join(' | '));
  };
  return `"\\"" ${characters.length === 0 ? rest : node(characters, 0)} "\\""`;
}
