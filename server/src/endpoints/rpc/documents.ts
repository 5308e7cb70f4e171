import { TextDocument } from 'vscode-languageserver-textdocument';
import type {
  DidChangeTextDocumentParams,
  DidCloseTextDocumentParams,
  DidOpenTextDocumentParams,
} from 'vscode-languageserver';
import { z } from 'zod';

const positionSchema = z.object({ line: z.int().min(0), character: z.int().min(0) });
const rangeSchema = z.object({ start: positionSchema, end: positionSchema });

/** The part of `DidOpenTextDocumentParams` that is used. */
export const openedSchema = z.object({
  textDocument: z.object({ uri: z.string(), languageId: z.string(), version: z.int(), text: z.string() }),
});
/** The part of `DidChangeTextDocumentParams` that is used. A change without a range is the whole text. */
export const changedSchema = z.object({
  textDocument: z.object({ uri: z.string(), version: z.int() }),
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
  readonly opened: (uri: string, language: string, text: () => string) => void;
  readonly changed: (uri: string, offset: number, removed: number, inserted: string) => void;
  readonly closed: (uri: string) => void;
}

/** The documents that one editor has open, mirrored change by change. */
export interface Documents {
  /** `too_large`: it is open, and longer than a document may be. */
  readonly get: (uri: string) => TextDocument | 'too_large' | undefined;
  readonly opened: (params: DidOpenTextDocumentParams) => void;
  readonly changed: (params: DidChangeTextDocumentParams) => void;
  readonly closed: (params: DidCloseTextDocumentParams) => void;
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
const silent: DocumentListener = { opened: () => {}, changed: () => {}, closed: () => {} };

/**
 * Holds open documents within bounds. Where a bound would be passed, the documents that were touched longest ago
 * are forgotten: they get no ghost text until they are opened again, and everything else goes on.
 */
export function createDocuments(
  listener: DocumentListener = silent,
  bounds: DocumentBounds = defaultBounds,
): Documents {
  /** Least recently touched first. A document that is too long has length 0 and no text. */
  const held = new Map<string, { readonly document: TextDocument | 'too_large'; readonly length: number }>();
  let characters = 0;

  const forget = (uri: string): void => {
    const entry = held.get(uri);
    if (entry === undefined) return;
    characters -= entry.length;
    held.delete(uri);
    if (entry.document !== 'too_large') listener.closed(uri);
  };
  const keep = (uri: string, document: TextDocument | 'too_large', length: number): void => {
    characters += length - (held.get(uri)?.length ?? 0);
    held.delete(uri);
    held.set(uri, { document, length });
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
    get: (uri) => held.get(uri)?.document,
    opened: ({ textDocument: { uri, languageId, version, text } }) => {
      forget(uri);
      if (!bound(uri, text.length)) return;
      const document = TextDocument.create(uri, languageId, version, text);
      keep(uri, document, text.length);
      listener.opened(uri, languageId, () => document.getText());
    },
    changed: ({ textDocument: { uri, version }, contentChanges }) => {
      const entry = held.get(uri);
      if (entry === undefined || entry.document === 'too_large') return;
      const { document } = entry;
      let { length } = entry;
      for (const change of contentChanges) {
        const range = 'range' in change ? change.range : undefined;
        const begin = range === undefined ? 0 : document.offsetAt(range.start);
        const end = range === undefined ? length : document.offsetAt(range.end);
        const [offset, removed] = [Math.min(begin, end), Math.abs(end - begin)];
        if (!bound(uri, length - removed + change.text.length)) return;
        TextDocument.update(document, [change], version);
        length += change.text.length - removed;
        listener.changed(uri, offset, removed, change.text);
      }
      keep(uri, document, length);
    },
    closed: ({ textDocument: { uri } }) => forget(uri),
    tooLarge: (uri) => {
      bound(uri, Infinity);
    },
  };
}
