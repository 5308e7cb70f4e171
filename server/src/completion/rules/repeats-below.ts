import { depth, linesBelow, lineSoFar, restOfLine } from '../place.js';
import type { Rule } from './rule.js';

/**
 * Drops what the document says already after the cursor: the rest of the line, and everything from the line on that
 * the next line says.
 */
export const repeatsBelow: Rule = {
  name: 'repeats_below',
  apply: (completion, { place, shape }) => {
    const below = linesBelow(place);
    const kept: string[] = [];
    for (const [index, line] of completion.split('\n').entries()) {
      const whole = index === 0 ? lineSoFar(place) + line : line;
      if (whole.trim() !== '' && line.trim() !== '' && says(below, whole)) break;
      kept.push(line);
    }
    const text = kept.join('\n');
    // Of several lines before a bracket that closes their block, the last may well end like that bracket.
    return shape.kind === 'block' && text.includes('\n') ? text : withoutRest(text, restOfLine(place));
  },
};

/** Whether a line is the next one below; one that only closes something must stand as deep. */
function says(below: readonly string[], line: string): boolean {
  const next = below[0];
  if (next === undefined || next.trim() !== line.trim()) return false;
  return /\w/.test(line) || depth(next) === depth(line);
}

/** Leaves out the longest end that is the beginning of what follows on the line. */
function withoutRest(text: string, rest: string): string {
  const tail = rest.trimEnd();
  if (tail.trim() === '') return text;
  const bare = tail.trimStart();
  const last = text.slice(text.lastIndexOf('\n') + 1);
  for (let length = Math.min(bare.length, last.length); length > 0; length -= 1) {
    // An overlap of a letter or two inside a word is chance.
    if (length < 3 && /^\w/.test(bare)) break;
    if (last.endsWith(bare.slice(0, length))) return text.slice(0, text.length - length);
  }
  return text;
}
