import type { DocumentText } from './document-text.js';

/** Most text before a cursor that is looked at, in UTF-16 units. */
export const mostBefore = 32_768;
/** Most text after a cursor that is looked at, in UTF-16 units. */
export const mostAfter = 8192;

/** A cursor in a document, with the text around it. Lines end with `\n`, whatever the document has. */
export interface Place {
  /** Tells documents apart; it never leaves the process. */
  readonly uri: string;
  /** The editor's name for the language, such as `typescript`. */
  readonly language: string;
  /** At most {@link mostBefore} units, the nearest. */
  readonly before: string;
  /** At most {@link mostAfter} units, the nearest. */
  readonly after: string;
  /** Where `before` begins in the document; 0 where it is whole. */
  readonly start: number;
}

/** Why a cursor is no place for ghost text. */
export type NoPlace = 'inside_character' | 'binary_document';

/** The text around `offset`. A cursor that parts a character, and a document that is not text, are no place. */
export function placeAt(
  document: { readonly uri: string; readonly language: string; readonly text: DocumentText },
  offset: number,
): Place | NoPlace {
  const { uri, language, text } = document;
  const begin = Math.max(0, offset - mostBefore);
  const near = text.slice(Math.max(0, begin - 1), Math.min(text.length, offset + mostAfter + 1));
  const cursor = offset - Math.max(0, begin - 1);
  if (partsPair(near, cursor)) return 'inside_character';
  const first = wholeCharacter(near, begin === 0 ? 0 : 1);
  const before = near.slice(first, cursor);
  const after = near.slice(cursor, wholeCharacter(near, Math.min(near.length, cursor + mostAfter)));
  if (before.includes('\0') || after.includes('\0')) return 'binary_document';
  const start = begin === 0 ? 0 : begin - 1 + first;
  return { uri, language, before: ownCopy(plainLines(before)), after: ownCopy(plainLines(after)), start };
}

/**
 * `text` in memory of its own. V8 makes a slice of a string a view, which keeps the whole string alive: places are
 * remembered, and each would hold on to all of its document as it was then.
 */
export function ownCopy(text: string): string {
  return ` ${text}`.slice(1);
}

/** The same place after `text` was typed there. */
export function typedAt(place: Place, text: string): Place {
  return { ...place, before: place.before + text };
}

/** What stands before the cursor on its own line. */
export function lineSoFar({ before }: Pick<Place, 'before'>): string {
  return before.slice(before.lastIndexOf('\n') + 1);
}

/** What stands after the cursor on its own line. */
export function restOfLine({ after }: Pick<Place, 'after'>): string {
  const end = after.indexOf('\n');
  return end === -1 ? after : after.slice(0, end);
}

/** The lines after the cursor's own, those of blanks left out. */
export function linesBelow({ after }: Pick<Place, 'after'>): readonly string[] {
  return after
    .split('\n')
    .slice(1)
    .filter((line) => line.trim() !== '');
}

/** The blanks that a line begins with. */
export function indentation(line: string): string {
  return /^[\t ]*/.exec(line)?.[0] ?? '';
}

/** How deep a line is indented; a tab counts as far as the next multiple of four. */
export function depth(line: string): number {
  let width = 0;
  for (const character of indentation(line)) width += character === '\t' ? 4 - (width % 4) : 1;
  return width;
}

/** `text` with every line end as `\n`. */
export function plainLines(text: string): string {
  return text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
}

/** `index`, or the next one where it would part a surrogate pair. */
export function wholeCharacter(text: string, index: number): number {
  return partsPair(text, index) ? index + 1 : index;
}

function partsPair(text: string, index: number): boolean {
  if (index <= 0 || index >= text.length) return false;
  return isHigh(text.charCodeAt(index - 1)) && isLow(text.charCodeAt(index));
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
