import { indentation, lineSoFar, linesBelow, depth, restOfLine, type Place } from './place.js';

/** How much a suggestion at a place may be. */
export type Shape = { readonly kind: 'line' } | { readonly kind: 'block'; readonly lines: number };

/** Most lines of a suggestion that fills a block. */
export const mostLines = 12;
/** Most lines of a suggestion that goes on where a line may end. */
export const fewLines = 4;

/**
 * One line or several, by position: one where text follows the cursor on its line, or where the line is begun in the
 * middle of a block that goes on; several at the opening of a block, inside one that is empty, on an empty line, and at
 * the end of the text.
 */
export function shapeAt(place: Place): Shape {
  if (isInEmptyBlock(place)) return { kind: 'block', lines: mostLines };
  if (restOfLine(place).trim() !== '') return { kind: 'line' };
  const line = lineSoFar(place);
  if (opensBlock(line)) return blockFollows(place) ? { kind: 'line' } : { kind: 'block', lines: mostLines };
  if (line.trim() === '')
    return { kind: 'block', lines: opensBlock(lineAbove(place)) ? mostLines : fewLines };
  return { kind: 'block', lines: fewLines };
}

/**
 * Whether the cursor stands right between the brackets of a block, as it does where an editor has closed the one that was
 * just typed. What follows may end calls and statements; a quote there would mean that this is inside a string.
 */
export function isInEmptyBlock(place: Place): boolean {
  const line = lineSoFar(place).trimEnd();
  const rest = restOfLine(place).trim();
  const closer = line.endsWith('${') ? undefined : { '{': '}', '[': ']' }[line.slice(-1)];
  return closer !== undefined && rest.startsWith(closer) && /^[)\]};,\s]*$/.test(rest);
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
