import type { GbnfRules } from './gbnf-rules.js';
import { literal, oneOf, repeat } from './gbnf-rules.js';

/** Most digits of a number that is written before its point, and behind it. */
const mostDigits = 16;

/** Bounds of a number; both are safe integers. Undefined: none. */
export interface Bounds {
  readonly least: number | undefined;
  readonly most: number | undefined;
  /** Whether the bound itself is outside. */
  readonly aboveLeast: boolean;
  readonly belowMost: boolean;
}

/** An integer within bounds; undefined: there is none. */
export function integer(rules: GbnfRules, bounds: Bounds): string | undefined {
  const least = bounds.least === undefined ? undefined : bounds.least + (bounds.aboveLeast ? 1 : 0);
  const most = bounds.most === undefined ? undefined : bounds.most - (bounds.belowMost ? 1 : 0);
  if (least !== undefined && most !== undefined && least > most) return undefined;
  const alternatives: string[] = [];
  if (least === undefined || least < 0) {
    const digits = magnitude(
      rules,
      most === undefined || most >= 0 ? 1 : -most,
      least === undefined ? undefined : -least,
    );
    alternatives.push(`"-" ${digits}`);
  }
  if (most === undefined || most >= 0) alternatives.push(magnitude(rules, Math.max(0, least ?? 0), most));
  return rules.add(alternatives.join(' | '));
}

/** A number within bounds, without an exponent where it has any; undefined: there is none. */
export function decimal(rules: GbnfRules, bounds: Bounds): string | undefined {
  const fraction = rules.add(`"." [0-9]{1,${mostDigits}}`);
  const { least, most } = bounds;
  if (least === undefined && most === undefined) {
    return rules.add(`"-"? ${magnitude(rules, 0, undefined)} ${fraction}? ([eE] [-+]? [0-9]{1,3})?`);
  }
  const alternatives: string[] = [];
  if (least === undefined || least < 0) {
    // From the bound next to zero to the one far from it.
    const near = most === undefined || most >= 0 ? 0 : -most;
    const far = least === undefined ? undefined : -least;
    const nearOut = most !== undefined && most <= 0 && bounds.belowMost;
    const part = fractional(rules, near, far, nearOut, bounds.aboveLeast);
    if (part !== undefined) alternatives.push(`"-" ${part}`);
  }
  if (most === undefined || most >= 0) {
    const near = Math.max(0, least ?? 0);
    const nearOut = least !== undefined && least >= 0 && bounds.aboveLeast;
    const part = fractional(rules, near, most, nearOut, bounds.belowMost);
    if (part !== undefined) alternatives.push(part);
  }
  return alternatives.length === 0 ? undefined : rules.add(alternatives.join(' | '));
}

/** A number that is not negative, from `near` to `far`. */
function fractional(
  rules: GbnfRules,
  near: number,
  far: number | undefined,
  nearOut: boolean,
  farOut: boolean,
): string | undefined {
  if (far !== undefined && (far < near || (far === near && (nearOut || farOut)))) return undefined;
  const fraction = rules.add(`"." [0-9]{1,${mostDigits}}`);
  const zeros = `("." "0"{1,${mostDigits}})?`;
  const notZero = rules.add(`"." "0"{0,${mostDigits - 1}} [1-9] [0-9]{0,${mostDigits - 1}}`);
  const alternatives: string[] = [];
  if (far === near) return `${literal(String(near))} ${zeros}`;
  // Each whole part from near up to the one below far may have any fraction.
  const from = nearOut ? near + 1 : near;
  if (nearOut) alternatives.push(`${literal(String(near))} ${notZero}`);
  if (far === undefined || from <= far - 1) {
    alternatives.push(`${magnitude(rules, from, far === undefined ? undefined : far - 1)} ${fraction}?`);
  }
  if (far !== undefined && !farOut) alternatives.push(`${literal(String(far))} ${zeros}`);
  return rules.add(alternatives.join(' | '));
}

/** Digits of an integer from `least` to `most`, neither of them negative. */
function magnitude(rules: GbnfRules, least: number, most: number | undefined): string {
  if (most === undefined) {
    if (least <= 1) {
      const positive = `[1-9] [0-9]{0,${mostDigits - 1}}`;
      return least === 0 ? rules.add(`"0" | ${positive}`) : rules.add(positive);
    }
    const digits = String(least).length;
    const same = sameLength(rules, String(least), '9'.repeat(digits));
    if (digits >= mostDigits) return same;
    return rules.add(`${same} | [1-9] [0-9]{${digits},${mostDigits - 1}}`);
  }
  const alternatives: string[] = [];
  for (let digits = String(least).length; digits <= String(most).length; digits += 1) {
    const low = Math.max(least, digits === 1 ? 0 : 10 ** (digits - 1));
    const high = Math.min(most, 10 ** digits - 1);
    alternatives.push(sameLength(rules, String(low), String(high)));
  }
  return alternatives.length === 1 ? oneOf(alternatives) : rules.add(alternatives.join(' | '));
}

/** From `low` to `high`, which have the same number of digits. */
function sameLength(rules: GbnfRules, low: string, high: string): string {
  if (low === high) return literal(low);
  const [first = '', last = ''] = [low[0], high[0]];
  const rest = low.length - 1;
  if (first === last) return rules.add(`${literal(first)} ${sameLength(rules, low.slice(1), high.slice(1))}`);
  if (rest === 0) return digit(Number(first), Number(last));
  const alternatives: string[] = [];
  const lowIsWhole = /^0*$/u.test(low.slice(1));
  const highIsWhole = /^9*$/u.test(high.slice(1));
  if (!lowIsWhole)
    alternatives.push(`${literal(first)} ${sameLength(rules, low.slice(1), '9'.repeat(rest))}`);
  const from = Number(first) + (lowIsWhole ? 0 : 1);
  const to = Number(last) - (highIsWhole ? 0 : 1);
  if (from <= to) alternatives.push(`${digit(from, to)} ${repeat('[0-9]', rest, rest)}`);
  if (!highIsWhole)
    alternatives.push(`${literal(last)} ${sameLength(rules, '0'.repeat(rest), high.slice(1))}`);
  return rules.add(alternatives.join(' | '));
}

function digit(from: number, to: number): string {
  return from === to ? literal(String(from)) : `[${from}-${to}]`;
}
