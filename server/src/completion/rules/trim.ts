import { lineSoFar } from '../place.js';
import type { Rule } from './rule.js';

/** Drops blanks at the end, and those at the beginning that stand before the cursor already. */
export const trim: Rule = {
  name: 'trim',
  apply: (completion, { place }) => {
    const line = lineSoFar(place);
    const text = completion.trimEnd();
    if (text === '') return '';
    if (line.trim() === '') return text.slice(common(line, text));
    return /\s$/.test(line) ? text.replace(/^[\t ]+/, '') : text;
  },
};

/** How many blanks at the beginning of `text` repeat those of the line. */
function common(line: string, text: string): number {
  let length = 0;
  while (length < line.length && text[length] === line[length]) length += 1;
  return length;
}
