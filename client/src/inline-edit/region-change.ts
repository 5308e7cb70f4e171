import { takeOver, type MarkedLine } from './marked-lines.js';

/** The lines of a document that an inline edit works on: `lines` begin at line `start`. */
export interface Region {
  readonly start: number;
  readonly lines: readonly MarkedLine[];
}

/** One change of a document, in the coordinates before it. */
export interface DocumentChange {
  readonly startLine: number;
  readonly startCharacter: number;
  readonly endLine: number;
  readonly endCharacter: number;
  readonly text: string;
}

/** What somebody else's change means for a region. */
export type Effect =
  /** It went by: the region is where it was, or has moved. */
  | { readonly kind: 'elsewhere'; readonly region: Region }
  /** It changed lines of the region: those are theirs now. */
  | { readonly kind: 'inside'; readonly region: Region }
  /** It reached over an end of the region, which no longer stands for anything. */
  | { readonly kind: 'across' };

/** Follows a change that was not ours. */
export function followChange(region: Region, change: DocumentChange): Effect {
  const { start, lines } = region;
  const { startLine, startCharacter, endLine, endCharacter } = change;
  const texts = change.text.split(/\r\n|\r|\n/);
  const shift = texts.length - (endLine - startLine + 1);
  const end = start + lines.length;
  const endsBefore =
    endLine < start || (endLine === start && endCharacter === 0 && endsAtLineStart(texts, startCharacter));
  if (endsBefore) return { kind: 'elsewhere', region: { start: start + shift, lines } };
  if (startLine >= end) return { kind: 'elsewhere', region };
  if (startLine < start || endLine >= end) return { kind: 'across' };

  const first = lines[startLine - start]?.text ?? '';
  const last = lines[endLine - start]?.text ?? '';
  const written = [...texts];
  written[0] = first.slice(0, startCharacter) + (written[0] ?? '');
  written[written.length - 1] = (written.at(-1) ?? '') + last.slice(endCharacter);
  const taken = { start: startLine - start, end: endLine - start + 1, lines: written };
  return { kind: 'inside', region: { start, lines: takeOver(lines, taken) } };
}

/** Whether what follows the change begins a line of its own, as it did before. */
function endsAtLineStart(texts: readonly string[], startCharacter: number): boolean {
  return texts.at(-1) === '' && (texts.length > 1 || startCharacter === 0);
}
