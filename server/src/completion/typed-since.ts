import type { Place } from './place.js';

/** How much of the text before two cursors is compared, in UTF-16 units. */
const compared = 2048;
/** Most text that can have been typed since, in UTF-16 units. */
const mostTyped = 512;
/** How much of it is looked for, in UTF-16 units. */
const anchorLength = 64;

/** What editors write by themselves after an opening bracket or quote that was typed. */
export const closers: Readonly<Record<string, string>> = {
  '(': ')',
  '[': ']',
  '{': '}',
  '<': '>',
  '"': '"',
  "'": "'",
  '`': '`',
};

/** How one place follows from another by typing at it. */
export interface Typed {
  readonly text: string;
  /** What the editor wrote behind the cursor by itself meanwhile, such as `)`. */
  readonly closed: string;
}

/** What was typed at `origin` to come to `place`; undefined where it is another place altogether. */
export function typedSince(origin: Place, place: Place): Typed | undefined {
  if (origin.uri !== place.uri || origin.language !== place.language) return undefined;
  const text = insertedBetween(origin, place);
  if (text === undefined) return undefined;
  const closed = closedBehind(origin.after, place.after, text);
  return closed === undefined ? undefined : { text, closed };
}

function insertedBetween(
  { before: origin, start }: Place,
  { before: now, start: nowStart }: Place,
): string | undefined {
  if (start === 0 && nowStart === 0) {
    // The whole of the document before either cursor.
    const length = now.length - origin.length;
    if (length < 0 || length > mostTyped || !sameEnd(origin, now.slice(0, origin.length))) return undefined;
    return now.slice(origin.length);
  }
  // Where the text that stood right before the first cursor is found again, the nearest first.
  const anchor = origin.slice(-anchorLength);
  const near = now.slice(-(mostTyped + anchor.length));
  for (let at = near.lastIndexOf(anchor); at !== -1; at = at === 0 ? -1 : near.lastIndexOf(anchor, at - 1)) {
    const typed = near.slice(at + anchor.length);
    if (sameEnd(origin, now.slice(0, now.length - typed.length))) return typed;
  }
  return undefined;
}

function sameEnd(one: string, other: string): boolean {
  return one.slice(-compared) === other.slice(-compared);
}

/** What the editor wrote behind the cursor: closing brackets, on a line of their own where Enter was pressed before them. */
function closedBehind(origin: string, now: string, typed: string): string | undefined {
  if (origin.slice(0, compared) === now.slice(0, compared)) return '';
  let closed = '';
  for (const character of typed) {
    const closer = closers[character];
    if (closer !== undefined) closed = closer + closed;
  }
  // Of several brackets some may have been closed again by hand.
  const some: string[] = [];
  for (let skip = 0; skip < closed.length; skip += 1) some.push(closed.slice(skip));
  for (let keep = 1; keep < closed.length; keep += 1) some.push(closed.slice(0, keep));
  const broken = typed.includes('\n') ? /^\n[\t ]*(?=[)\]}])/.exec(now)?.[0] : undefined;
  const candidates = broken === undefined ? some : [...some, ...[...some, ''].map((one) => broken + one)];
  return candidates.find(
    (one) =>
      now.startsWith(one) && origin.slice(0, compared) === now.slice(one.length, one.length + compared),
  );
}

/**
 * What of `suggestion`, made at the origin, is left to show after `typed`; undefined where it does not hold any more.
 * A bracket that the editor has closed by itself is not suggested again.
 */
export function restAfter(suggestion: string, typed: Typed): string | undefined {
  if (!suggestion.startsWith(typed.text)) return undefined;
  const rest = suggestion.slice(typed.text.length);
  if (typed.closed === '') return rest;
  const end = rest.lastIndexOf(typed.closed);
  if (end === -1) return undefined;
  // Only where nothing but the end of the statement follows: else the bracket would stand in the wrong place.
  const beyond = rest.slice(end + typed.closed.length);
  return beyond.trim() === '' || /^[;,)\]}\s]*$/.test(beyond) ? rest.slice(0, end) : undefined;
}
