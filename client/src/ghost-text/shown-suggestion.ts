/** What is shown in an editor now: the texts at a cursor, the likeliest first. */
export interface ShownSuggestion {
  readonly uri: string;
  /** Of the cursor in the document, and the length of the document. */
  readonly offset: number;
  readonly length: number;
  readonly texts: readonly string[];
}

/** Where the cursor is now. `textSince` reads the document from an offset up to the cursor. */
export interface CursorNow {
  readonly uri: string;
  readonly offset: number;
  readonly length: number;
  readonly textSince: (offset: number) => string;
}

/**
 * What is left of what is shown after typing along it, so that nothing need be asked; undefined where it does not hold
 * any more: where something else was typed, deleted or changed elsewhere, or where nothing is left.
 */
export function alongShown(shown: ShownSuggestion, now: CursorNow): ShownSuggestion | undefined {
  const typed = now.offset - shown.offset;
  if (now.uri !== shown.uri || typed < 0 || now.length - shown.length !== typed) return undefined;
  const text = typed === 0 ? '' : now.textSince(shown.offset).replaceAll('\r\n', '\n');
  const texts = shown.texts.flatMap((whole) =>
    whole.startsWith(text) && whole.length > text.length ? [whole.slice(text.length)] : [],
  );
  return texts.length === 0 ? undefined : { uri: now.uri, offset: now.offset, length: now.length, texts };
}
