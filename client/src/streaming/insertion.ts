/** Where streamed text stands in a document, in offsets. */
export interface Insertion {
  readonly start: number;
  /** Where the next piece goes. */
  readonly end: number;
}

/** One change of a document: at `offset`, `removed` units gave way to `inserted` ones. */
export interface Change {
  readonly offset: number;
  readonly removed: number;
  readonly inserted: number;
}

/**
 * Where the insertion stands after somebody else's change. Undefined where the change touched it, or the place
 * where it grows: whoever types there has taken over, and the stream is to end.
 */
export function afterChange({ start, end }: Insertion, change: Change): Insertion | undefined {
  const { offset, removed, inserted } = change;
  if (offset > end) return { start, end };
  const before = offset + removed <= start && offset < end;
  if (!before) return undefined;
  const shift = inserted - removed;
  return { start: start + shift, end: end + shift };
}
