/** Deepest nesting of groups in a grammar. llama.cpp's parser calls itself for each and would run out of stack. */
export const deepestGroups = 200;

/**
 * Whether a GBNF grammar nests its groups no deeper than {@link deepestGroups}. Parentheses in texts, character
 * classes and comments do not count. A grammar that names tokens (`<…>`) could hide parentheses from this, so in
 * such a one every parenthesis counts.
 */
export function nestsWithinBounds(grammar: string): boolean {
  const withoutTexts = grammar.replace(/"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*/gsu, '');
  if (withoutTexts.includes('<')) return grammar.split('(').length - 1 <= deepestGroups;
  let depth = 0;
  for (const character of withoutTexts) {
    if (character === '(') depth += 1;
    if (character === ')') depth -= 1;
    if (depth > deepestGroups) return false;
  }
  return true;
}
