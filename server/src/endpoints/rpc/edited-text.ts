import type { DocumentText } from '../../completion/document-text.js';
import { ownCopy } from '../../completion/place.js';
import type { Position } from './positions.js';

/** A text that is typed in. Lines end with `\n`, `\r\n` or `\r`. */
export interface EditedText extends DocumentText {
  /** The offset of a position; beyond the end of a line it is that end, beyond the last line the end of the text. */
  readonly offsetAt: (position: Position) => number;
  /** Puts `text` in place of what stands from `from` up to `to`. */
  readonly replace: (from: number, to: number, text: string) => void;
}

/** A stretch of the text. No piece ends with the `\r` of a `\r\n` whose `\n` begins the next. */
interface Piece {
  readonly text: string;
  /** Where a line begins in it, by offset: behind each line end, so that the last may be its length. */
  readonly lines: readonly number[];
}

/** Of a piece, in UTF-16 units: what it is cut to, and what a shorter one takes in its neighbour for. */
const pieceLength = 16_384;
const shortPiece = 2048;

/**
 * Holds a text in pieces, so that a keystroke costs what its piece costs, however long the text is: with one string, each
 * would copy all of it as soon as somebody looks.
 */
export function createEditedText(initial: string): EditedText {
  let pieces: readonly Piece[] = cut(initial);
  let length = initial.length;

  /** The piece that holds the unit at `offset`, or the last, and where it begins. */
  function pieceAt(offset: number): { readonly index: number; readonly begin: number } {
    let begin = 0;
    for (const [index, { text }] of pieces.entries()) {
      if (offset < begin + text.length || index === pieces.length - 1) return { index, begin };
      begin += text.length;
    }
    return { index: 0, begin: 0 };
  }

  /** Where a line begins; undefined beyond the last. */
  function lineStart(line: number): number | undefined {
    if (line === 0) return 0;
    let before = 1;
    let begin = 0;
    for (const { text, lines } of pieces) {
      const start = lines[line - before];
      if (start !== undefined) return begin + start;
      before += lines.length;
      begin += text.length;
    }
    return undefined;
  }

  function slice(from: number, to: number): string {
    const first = pieceAt(from);
    let { index, begin } = first;
    let found = '';
    for (; index < pieces.length && begin < to; index += 1) {
      const text = pieces[index]?.text ?? '';
      found += text.slice(Math.max(0, from - begin), to - begin);
      begin += text.length;
    }
    return found;
  }

  return {
    get length() {
      return length;
    },
    slice,
    offsetAt: ({ line, character }) => {
      const start = lineStart(line);
      if (start === undefined) return length;
      const next = lineStart(line + 1);
      const end =
        next === undefined ? length : next - (slice(Math.max(start, next - 2), next) === '\r\n' ? 2 : 1);
      return Math.min(start + Math.max(0, character), end);
    },
    replace: (from, to, text) => {
      // With the units on both sides, which may become, or part, a line end of two.
      const first = pieceAt(Math.max(0, from - 1));
      let last = pieceAt(to).index;
      let end = pieces
        .slice(first.index, last + 1)
        .reduce((sum, piece) => sum + piece.text.length, first.begin);
      while (end - first.begin - (to - from) + text.length < shortPiece && last + 1 < pieces.length) {
        last += 1;
        end += pieces[last]?.text.length ?? 0;
      }
      const changed = slice(first.begin, from) + text + slice(to, end);
      pieces = [...pieces.slice(0, first.index), ...cut(ownCopy(changed)), ...pieces.slice(last + 1)];
      length += text.length - (to - from);
    },
  };
}

/** Cuts a text into pieces; one up to twice as long as a piece stays whole, so that typing in it does not cut at each key. */
function cut(text: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let begin = 0;
  while (text.length - begin > 2 * pieceLength) {
    let end = begin + pieceLength;
    if (text[end - 1] === '\r' && text[end] === '\n') end += 1;
    pieces.push(pieceOf(text.slice(begin, end)));
    begin = end;
  }
  pieces.push(pieceOf(text.slice(begin)));
  return pieces;
}

function pieceOf(text: string): Piece {
  const lines: number[] = [];
  if (text.includes('\r')) {
    for (const { index, 0: end } of text.matchAll(/\r\n?|\n/g)) lines.push(index + end.length);
  } else {
    for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines.push(at + 1);
  }
  return { text, lines };
}
