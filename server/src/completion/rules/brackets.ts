import { lineSoFar, restOfLine } from '../place.js';
import type { Rule } from './rule.js';

/** How far around the cursor brackets are counted, in UTF-16 units. */
const reach = 4096;

const partners: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' };
const closerOf: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };
const prose = new Set(['markdown', 'plaintext', 'latex', 'restructuredtext', 'git-commit', 'scminput']);

/**
 * Balances brackets: stops before one that closes nothing which is open. Where a closing bracket that follows the cursor
 * would be taken for one that the suggestion has opened, it closes that; of several lines it leaves out those from where
 * it was opened, if others are left. Inside a string whose end the editor has
 * written already, it stops before that end.
 */
export const brackets: Rule = {
  name: 'brackets',
  apply: (completion, { place }) => {
    if (prose.has(place.language)) return completion;
    const quote = openQuote(lineSoFar(place).slice(-reach));
    if (quote !== undefined && restOfLine(place).startsWith(quote)) return upToQuote(completion, quote);
    const open = openAround(place.before.slice(-reach), place.after.slice(0, reach));
    const inside: Bracket[] = [];
    for (const bracket of bracketsIn(completion)) {
      const { character, index } = bracket;
      const partner = partners[character];
      if (partner === undefined) {
        inside.push(bracket);
      } else if (inside.at(-1)?.character === partner) {
        inside.pop();
      } else if (inside.length === 0 && open.at(-1) === partner) {
        open.pop();
      } else {
        return completion.slice(0, index);
      }
    }
    const [outermost] = inside;
    if (outermost === undefined || !/^\s*[)\]}]/.test(restOfLine(place))) return completion;
    if (completion.includes('\n')) {
      const whole = completion.slice(0, Math.max(0, completion.lastIndexOf('\n', outermost.index)));
      return whole.trim() === '' ? completion : whole;
    }
    const closing = inside.toReversed().map(({ character }) => closerOf[character] ?? '');
    return completion + closing.join('');
  },
};

/** The quote of the string that is open at the end of a line. */
function openQuote(line: string): string | undefined {
  let open: string | undefined;
  for (let index = 0; index < line.length; index += 1) {
    const character = line.charAt(index);
    if (character === '\\') index += 1;
    else if (character === open) open = undefined;
    else if (open === undefined && '"\'`'.includes(character)) open = character;
  }
  return open;
}

/** What of `text`, inside a string, stands before its end. */
function upToQuote(text: string, quote: string): string {
  let index = 0;
  while (index < text.length && text[index] !== quote) index += text[index] === '\\' ? 2 : 1;
  return text.slice(0, index);
}

/** What is open at the cursor and not closed after it, the outermost first. */
function openAround(before: string, after: string): string[] {
  const open: string[] = [];
  for (const { character } of bracketsIn(before)) {
    const partner = partners[character];
    if (partner === undefined) open.push(character);
    else if (open.at(-1) === partner) open.pop();
  }
  // Each one that is closed after the cursor belongs to the innermost that is open.
  const inside: string[] = [];
  const taken = new Set<number>();
  let innermost = open.length - 1;
  for (const { character } of bracketsIn(after)) {
    const partner = partners[character];
    if (partner === undefined) inside.push(character);
    else if (inside.length > 0) inside.pop();
    else {
      while (innermost >= 0 && open[innermost] !== partner) innermost -= 1;
      if (innermost < 0) break;
      taken.add(innermost);
      innermost -= 1;
    }
  }
  return open.filter((_bracket, index) => !taken.has(index));
}

interface Bracket {
  readonly character: string;
  readonly index: number;
}

/** The brackets of a text that stand outside strings. A quote without its partner on the line is no string. */
function* bracketsIn(text: string): Generator<Bracket> {
  const token = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\\n])*`|[()[\]{}]/g;
  for (const match of text.matchAll(token)) {
    if (match[0].length === 1) yield { character: match[0], index: match.index };
  }
}
