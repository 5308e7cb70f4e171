import { depth, lineSoFar, linesBelow } from '../place.js';
import { lineAbove, opensBlock } from '../shape.js';
import type { Rule } from './rule.js';

/**
 * Stops where the scope that the cursor is in ends, told by indentation. The line that closes the scope is kept where
 * the document does not close it already.
 */
export const scope: Rule = {
  name: 'scope',
  apply: (completion, { place }) => {
    const [first = '', ...more] = completion.split('\n');
    const line = lineSoFar(place) + first;
    const opens = opensBlock(line);
    // On a line of blanks the cursor says how deep one is, unless a block that is not filled yet says more.
    const blank = line.trim() === '';
    const here = blank && opensBlock(lineAbove(place)) ? depth(lineAbove(place)) + 1 : depth(line);
    const inside = opens ? here + 1 : here;
    const kept = [first];
    for (const [index, next] of more.entries()) {
      if (next.trim() === '') {
        // A blank line ends a thought, except inside what the suggestion itself has opened.
        const following = more.slice(index + 1).find((other) => other.trim() !== '');
        if (following === undefined || depth(following) <= here) break;
        kept.push(next);
        continue;
      }
      const deep = depth(next);
      if (deep < inside) {
        const closes = isCloser(next) && deep === (opens ? here : outer(place.before, here));
        if (closes && !closedBelow(linesBelow(place), inside)) kept.push(next);
        break;
      }
      kept.push(next);
    }
    return kept.join('\n');
  },
};

function isCloser(line: string): boolean {
  return /^\s*([)\]}]+[;,]?|end;?)\s*$/.test(line);
}

/** Whether what follows in the document goes back to a lesser depth, so that the scope is closed, or goes on inside. */
function closedBelow(below: readonly string[], inside: number): boolean {
  const next = below[0];
  return next !== undefined && (depth(next) >= inside || isCloser(next));
}

/** The depth of the line that opened the scope of this depth. */
function outer(before: string, here: number): number {
  const opener = before
    .split('\n')
    .slice(0, -1)
    .findLast((line) => line.trim() !== '' && depth(line) < here);
  return opener === undefined ? 0 : depth(opener);
}
