import type { GhostTextRule } from '@hearth/protocol';
import { brackets } from './brackets.js';
import { fences } from './fences.js';
import { lines } from './lines.js';
import { repeatsAbove } from './repeats-above.js';
import { repeatsBelow } from './repeats-below.js';
import type { Rule, RuleContext } from './rule.js';
import { scope } from './scope.js';
import { trim } from './trim.js';

/** Every rule, in the order in which they are applied. */
export const rules: readonly Rule[] = [fences, lines, scope, repeatsAbove, repeatsBelow, brackets, trim];

/** What is left of a completion; or the rule after which nothing but blanks was left. */
export type Ruled =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'empty' }
  | { readonly kind: 'filtered'; readonly rule: GhostTextRule };

export function applyRules(completion: string, context: RuleContext): Ruled {
  let text = completion;
  if (text.trim() === '') return { kind: 'empty' };
  for (const rule of rules) {
    text = rule.apply(text, context);
    if (text.trim() === '') return { kind: 'filtered', rule: rule.name };
  }
  return { kind: 'text', text };
}
