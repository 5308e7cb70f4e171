/**
 * Where a text may be cut before it is turned into tokens. Tokenizers take a text apart at words first, and their time
 * grows with the square of a stretch that has no border, such as a megabyte of blanks.
 *
 * A border is after a line feed, or before one blank, with a word on its other side. Byte-level vocabularies give the
 * same tokens with and without a cut there. Vocabularies that put a blank before each text give one more at each cut.
 */

/** A text of at most so many UTF-16 units is counted whole, and so exactly. */
const wholeText = 16_384;
/** UTF-16 units of a piece of a longer text, at most. */
const pieceLength = 4096;
/** Longest {@link longestStretch} of a prompt, which is not cut, because its tokens have to be exact. */
export const mostStretch = 32_768;

/** `text` in pieces whose counts add up to its own, but for at most one or two at each cut where no border is near. */
export function* cutForCount(text: string): Generator<string, void, void> {
  if (text.length <= wholeText) {
    yield text;
    return;
  }
  for (let start = 0; start < text.length;) {
    const end = start + pieceLength < text.length ? cutBefore(text, start, start + pieceLength) : text.length;
    yield text.slice(start, end);
    start = end;
  }
}

/**
 * UTF-16 units of the longest run of one kind of character: blanks, digits, letters of whatever script, or marks.
 * Prose and code in any language change kinds every few characters; what costs a tokenizer minutes does not.
 */
export function longestStretch(text: string): number {
  let longest = 0;
  let start = 0;
  let kind = 0;
  for (let index = 0; index < text.length; index += 1) {
    const next = kindOf(text.charCodeAt(index));
    if (next === kind) continue;
    longest = Math.max(longest, index - start);
    start = index;
    kind = next;
  }
  return Math.max(longest, text.length - start);
}

const [blank, digit, letter, mark] = [1, 2, 3, 4];

/** By UTF-16 unit and coarse beyond ASCII, where all but general and ideographic punctuation counts as letters. */
function kindOf(unit: number): number {
  if (unit <= 0x20 || unit === 0xa0 || unit === 0x3000) return blank;
  if (unit >= 0x30 && unit <= 0x39) return digit;
  if (unit < 0x80) return (unit | 0x20) >= 0x61 && (unit | 0x20) <= 0x7a ? letter : mark;
  const isPunctuation =
    (unit >= 0x20_00 && unit <= 0x20_6f) ||
    (unit >= 0x30_01 && unit <= 0x30_3f) ||
    (unit >= 0xff_00 && unit <= 0xff_ef);
  return isPunctuation ? mark : letter;
}

/** The last border in the later half of a piece, or its end where none is there. Never inside a surrogate pair. */
function cutBefore(text: string, start: number, end: number): number {
  for (let index = end; index > start + pieceLength / 2; index -= 1) if (isBorder(text, index)) return index;
  const isSplit = (text.codePointAt(end - 1) ?? 0) > 0xff_ff;
  return isSplit ? end - 1 : end;
}

function isBorder(text: string, index: number): boolean {
  const before = text[index - 1] ?? '';
  const after = text[index] ?? '';
  if (before === '\n') return isWord(after) && isWord(text[index - 2] ?? '');
  return after === ' ' && isWord(before) && isWord(text[index + 1] ?? '');
}

/** ASCII letters alone: other characters may be held together with what stands beside them. */
function isWord(character: string): boolean {
  return /^[a-zA-Z]$/u.test(character);
}
