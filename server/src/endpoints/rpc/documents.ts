import * as z from 'zod';
import type { DocumentText } from '../../completion/document-text.js';
import { createEditedText, type EditedText } from './edited-text.js';
import { rangeSchema } from './positions.js';

/** The part of `DidOpenTextDocumentParams` that is used. */
export const openedSchema = z.object({
  textDocument: z.object({ uri: z.string(), languageId: z.string(), text: z.string() }),
});
/** The part of `DidChangeTextDocumentParams` that is used. A change without a range is the whole text. */
export const changedSchema = z.object({
  textDocument: z.object({ uri: z.string() }),
  contentChanges: z.array(
    z.union([
      z.object({ range: rangeSchema, text: z.string() }),
      z.object({ range: z.undefined().optional(), text: z.string() }).transform(({ text }) => ({ text })),
    ]),
  ),
});
/** The part of `DidCloseTextDocumentParams` that is used. */
export const closedSchema = z.object({ textDocument: z.object({ uri: z.string() }) });

/** Hears of documents as they come, change and go. Offsets are those before the change. */
export interface DocumentListener {
  readonly opened: (uri: string, language: string, text: DocumentText) => void;
  readonly changed: (uri: string, offset: number, removed: number, inserted: string) => void;
  readonly closed: (uri: string) => void;
}

/** The documents that one editor has open, mirrored change by change. */
export interface Documents {
  /** `too_large`: it is open, and longer than a document may be. */
  readonly get: (uri: string) => EditedText | 'too_large' | undefined;
  readonly opened: (params: z.infer<typeof openedSchema>) => void;
  readonly changed: (params: z.infer<typeof changedSchema>) => void;
  readonly closed: (params: z.infer<typeof closedSchema>) => void;
  /** Takes a document for too long, of which no more is known than its name. */
  readonly tooLarge: (uri: string) => void;
}

/** Bounds of {@link createDocuments}. */
export interface DocumentBounds {
  /** Most documents held. @default 1024 */
  readonly documents: number;
  /** Most UTF-16 units of one; a longer one is known by its name alone. @default 8388608 */
  readonly length: number;
  /** Most UTF-16 units held in all of them together. @default 67108864 */
  readonly characters: number;
}

const defaultBounds: DocumentBounds = { documents: 1024, length: 8_388_608, characters: 67_108_864 };

/**
 * Holds open documents within bounds. Where a bound would be passed, the documents that were touched longest ago
 * are forgotten: they get no ghost text until they are opened again, and everything else goes on.
 */
export function createDocuments(
  listener: DocumentListener,
  bounds: DocumentBounds = defaultBounds,
): Documents {
  /** Least recently touched first. A document that is too long has length 0 and no text. */
  const held = new Map<string, { readonly text: EditedText | 'too_large'; readonly length: number }>();
  let characters = 0;

  const forget = (uri: string): void => {
    const entry = held.get(uri);
    if (entry === undefined) return;
    characters -= entry.length;
    held.delete(uri);
    if (entry.text !== 'too_large') listener.closed(uri);
  };
  const keep = (uri: string, text: EditedText | 'too_large', length: number): void => {
    characters += length - (held.get(uri)?.length ?? 0);
    held.delete(uri);
    held.set(uri, { text, length });
    for (const old of held.keys()) {
      if (held.size <= bounds.documents && characters <= bounds.characters) return;
      forget(old);
    }
  };
  /** @returns whether it may stay */
  const bound = (uri: string, length: number): boolean => {
    if (length <= bounds.length) return true;
    forget(uri);
    keep(uri, 'too_large', 0);
    return false;
  };

  return {
    get: (uri) => held.get(uri)?.text,
    opened: ({ textDocument: { uri, languageId, text: initial } }) => {
      forget(uri);
      if (!bound(uri, initial.length)) return;
      const text = createEditedText(initial);
      keep(uri, text, text.length);
      listener.opened(uri, languageId, text);
    },
    changed: ({ textDocument: { uri }, contentChanges }) => {
      const text = held.get(uri)?.text;
      if (text === undefined || text === 'too_large') return;
      for (const change of contentChanges) {
        const range = 'range' in change ? change.range : undefined;
        const begin = range === undefined ? 0 : text.offsetAt(range.start);
        const end = range === undefined ? text.length : text.offsetAt(range.end);
        const [from, to] = [Math.min(begin, end), Math.max(begin, end)];
        if (!bound(uri, text.length - (to - from) + change.text.length)) return;
        const { skip, removed, inserted } = inEffect(text, from, to, change.text);
        text.replace(from, to, change.text);
        if (removed > 0 || inserted !== '') listener.changed(uri, from + skip, removed, inserted);
      }
      keep(uri, text, text.length);
    },
    closed: ({ textDocument: { uri } }) => forget(uri),
    tooLarge: (uri) => {
      bound(uri, Infinity);
    },
  };
}

/** Longest text that is compared with what it takes the place of, in UTF-16 units. */
const mostCompared = 65_536;

/** What a change does in effect: editors replace a word by itself and some letters, where a person went on typing. */
function inEffect(
  text: EditedText,
  from: number,
  to: number,
  inserted: string,
): { readonly skip: number; readonly removed: number; readonly inserted: string } {
  if (to === from || to - from > mostCompared) return { skip: 0, removed: to - from, inserted };
  const old = text.slice(from, to);
  const shorter = Math.min(old.length, inserted.length);
  let skip = 0;
  while (skip < shorter && old[skip] === inserted[skip]) skip += 1;
  let same = 0;
  while (same < shorter - skip && old[old.length - 1 - same] === inserted[inserted.length - 1 - same])
    same += 1;
  return {
    skip,
    removed: old.length - skip - same,
    inserted: inserted.slice(skip, inserted.length - same),
  };
}
