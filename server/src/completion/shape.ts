import { indentation, lineSoFar, linesBelow, depth, restOfLine, type Place } from './place.js';

/** How much a suggestion at a place may be. */
export type Shape = { readonly kind: 'line' } | { readonly kind: 'block'; readonly lines: number };

/** Most lines of a suggestion that fills a block. */
export const mostLines = 12;
/** Most lines of a suggestion that goes on where a line may end. */
export const fewLines = 4;

/**
 * One line or several, by position: one where text follows the cursor on its line, or where the line is begun in the
 * middle of a block that goes on; several at the opening of a block, on an empty line, and at the end of the text.
 */
export function shapeAt(place: Place): Shape {
  if (!onlyClosers(restOfLine(place))) return { kind: 'line' };
  if (restOfLine(place).trim() !== '') return { kind: 'line' };
  const line = lineSoFar(place);
  if (opensBlock(line)) return blockFollows(place) ? { kind: 'line' } : { kind: 'block', lines: mostLines };
  if (line.trim() === '')
    return { kind: 'block', lines: opensBlock(lineAbove(place)) ? mostLines : fewLines };
  return { kind: 'block', lines: fewLines };
}

/** Whether a line ends in what opens a block: a bracket, or a colon as in Python. */
export function opensBlock(line: string): boolean {
  const end = line.trimEnd();
  return (
    /[{([]$/.test(end) ||
    /(=>|->|\bthen|\bdo|\bbegin)$/.test(end) ||
    (end.endsWith(':') && !/^\s*(case\b|default\b|["'\w]+\s*:$)/.test(end))
  );
}

/** Whether what is left of a line are only brackets, quotes and what ends a statement. */
export function onlyClosers(rest: string): boolean {
  return /^[\s)\]}>"'`;,]*$/.test(rest);
}

/** The last line before the cursor's own that is not blank. */
export function lineAbove(place: Pick<Place, 'before'>): string {
  const lines = place.before.split('\n').slice(0, -1);
  return lines.findLast((line) => line.trim() !== '') ?? '';
}

/** Whether the block that the cursor's line opens is filled already. */
function blockFollows(place: Place): boolean {
  const next = linesBelow(place)[0];
  return next !== undefined && depth(next) > depth(indentation(lineSoFar(place)));
}
