import type { GbnfRules } from './gbnf-rules.js';
import { literal, oneOf } from './gbnf-rules.js';

/**
 * One of many texts. What texts begin with in common is written once: llama.cpp follows all that is still possible,
 * and of a thousand words a few are after one letter.
 */
export function choiceOf(rules: GbnfRules, texts: readonly string[]): string {
  return build(rules, [...new Set(texts)].map((text) => Array.from(text)).sort(compare), 0);
}

/** @param texts Sorted, different, and the same up to `from`. */
function build(rules: GbnfRules, texts: readonly (readonly string[])[], from: number): string {
  const groups = new Map<string, (readonly string[])[]>();
  let ends = false;
  for (const text of texts) {
    const next = text[from];
    if (next === undefined) ends = true;
    else groups.set(next, [...(groups.get(next) ?? []), text]);
  }
  const alternatives = [...groups.values()].map((group) => {
    const common = commonLength(group, from);
    const head = literal((group[0] ?? []).slice(from, common).join(''));
    const isAlone = group.length === 1;
    return isAlone ? head : `${head} ${build(rules, group, common)}`;
  });
  if (ends) alternatives.push('""');
  if (alternatives.length < 2) return oneOf(alternatives);
  return rules.add(alternatives.join(' | '));
}

/** Up to where all of a group are the same. The first and the last of a sorted group differ the most. */
function commonLength(group: readonly (readonly string[])[], from: number): number {
  const [first = [], last = []] = [group[0], group.at(-1)];
  let length = from;
  while (length < first.length && first[length] === last[length]) length += 1;
  return length;
}

function compare(one: readonly string[], other: readonly string[]): number {
  const [left, right] = [one.join(''), other.join('')];
  return left < right ? -1 : left > right ? 1 : 0;
}
