import { indentation, lineSoFar } from '../place.js';
import { isInEmptyBlock } from '../shape.js';
import type { Rule } from './rule.js';

/**
 * Drops blanks at the end, and those at the beginning that stand before the cursor already. Several lines between the
 * brackets of a block leave the closing one a line of its own, as deep as the line of the opening one.
 */
export const trim: Rule = {
  name: 'trim',
  apply: (completion, { place }) => {
    const line = lineSoFar(place);
    const text = completion.trimEnd();
    if (text === '') return '';
    if (text.includes('\n') && isInEmptyBlock(place)) return `${text}\n${indentation(line)}`;
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
