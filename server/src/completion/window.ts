import { wholeCharacter, type Place } from './place.js';

/** How many UTF-16 units each part of a prompt may have. */
export interface Room {
  readonly before: number;
  readonly after: number;
  /** For other files. */
  readonly related: number;
}

/** Tokens that a prompt has beside its texts: those that mark its parts. */
const markTokens = 16;
/** More text around the cursor than this costs prefill time that a keystroke does not have. */
const mostNear = 12_000;
const mostRelated = 8000;
/** A context below this, in tokens, holds nothing but what is near the cursor. */
const roomyContext = 2048;
const afterShare = 0.25;
const relatedShare = 0.3;

/**
 * Divides a model's context: near text first, then other files.
 *
 * @param contextSize in tokens
 * @param answer tokens that are kept free for the suggestion
 * @param unitsPerToken how many UTF-16 units a token has on average
 * @param infill whether text after the cursor is of use to the model
 */
export function divideRoom(
  contextSize: number,
  answer: number,
  unitsPerToken: number,
  infill: boolean,
): Room {
  const units = Math.max(0, contextSize - answer - markTokens) * unitsPerToken;
  const related = contextSize < roomyContext ? 0 : Math.min(mostRelated, Math.floor(units * relatedShare));
  const near = Math.min(mostNear, Math.floor(units - related));
  const after = infill ? Math.floor(near * afterShare) : 0;
  return { before: near - after, after, related };
}

/** What of the text around a cursor a model is shown. */
export interface Window {
  readonly before: string;
  readonly after: string;
}

/**
 * Cuts both sides to their room, nearest text kept; what one side does not need the other may have. The beginning is
 * moved in steps of a quarter of the room, and to a line's beginning, so that it stands still while one types: a model
 * that has read a prompt need not read its unchanged beginning again.
 */
export function cutWindow(
  { before, after, start }: Pick<Place, 'before' | 'after' | 'start'>,
  room: Room,
): Window {
  const spareAfter = Math.max(0, room.after - after.length);
  const kept = tail(before, start, room.before + spareAfter);
  const spareBefore = Math.max(0, room.before - kept.length);
  return { before: kept, after: head(after, room.after === 0 ? 0 : room.after + spareBefore) };
}

function tail(text: string, start: number, length: number): string {
  if (text.length <= length) return text;
  const step = Math.max(1, Math.floor(length / 4));
  const least = start + text.length - length;
  const cut = Math.ceil(least / step) * step - start;
  const border = text.indexOf('\n', cut);
  const begin = border !== -1 && border - cut < step / 2 ? border + 1 : wholeCharacter(text, cut);
  return text.slice(begin);
}

/** The first units of `text`, ended at a line where one is near, never inside a character. */
function head(text: string, length: number): string {
  if (text.length <= length) return text;
  const border = text.lastIndexOf('\n', length);
  if (border > length * 0.75) return text.slice(0, border);
  const cut = wholeCharacter(text, length);
  return text.slice(0, cut > length ? cut - 2 : cut);
}
