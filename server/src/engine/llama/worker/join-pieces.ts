import type { Piece } from './messages.js';

/** Parts of one kind that follow each other as one. */
export function joinPieces(parts: readonly Piece[]): readonly Piece[] {
  return parts.reduce<readonly Piece[]>((all, part) => {
    const last = all.at(-1);
    if (
      last === undefined ||
      last.kind !== part.kind ||
      last.kind === 'tool_call' ||
      part.kind === 'tool_call'
    ) {
      return [...all, part];
    }
    return [...all.slice(0, -1), { kind: last.kind, text: last.text + part.text }];
  }, []);
}
