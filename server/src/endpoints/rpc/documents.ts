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

/** The documents that one editor has open, mirrored change by change. */
export interface Documents {
  readonly get: (uri: string) => TextDocument | undefined;
  readonly opened: (params: DidOpenTextDocumentParams) => void;
  readonly changed: (params: DidChangeTextDocumentParams) => void;
  readonly closed: (params: DidCloseTextDocumentParams) => void;
}

/** Bounds of {@link createDocuments}. */
export interface DocumentBounds {
  /** Most documents held. @default 1024 */
  readonly documents: number;
  /** Most UTF-16 units held in all of them together. @default 67108864 */
  readonly characters: number;
}

/**
 * Holds open documents within bounds. Where a bound would be passed, the documents that were touched longest ago
 * are forgotten: they get no ghost text until they are opened again, and everything else goes on.
 */
export function createDocuments(
  bounds: DocumentBounds = { documents: 1024, characters: 67_108_864 },
): Documents {
  /** Least recently touched first. */
  const held = new Map<string, { readonly document: TextDocument; readonly length: number }>();
  let characters = 0;

  const forget = (uri: string): void => {
    characters -= held.get(uri)?.length ?? 0;
    held.delete(uri);
  };
  const keep = (document: TextDocument): void => {
    forget(document.uri);
    const length = document.offsetAt({ line: document.lineCount, character: 0 });
    held.set(document.uri, { document, length });
    characters += length;
    for (const uri of held.keys()) {
      if (held.size <= bounds.documents && characters <= bounds.characters) return;
      forget(uri);
    }
  };

  return {
    get: (uri) => held.get(uri)?.document,
    opened: ({ textDocument: { uri, languageId, version, text } }) => {
      keep(TextDocument.create(uri, languageId, version, text));
    },
    changed: ({ textDocument: { uri, version }, contentChanges }) => {
      const entry = held.get(uri);
      if (entry !== undefined) keep(TextDocument.update(entry.document, [...contentChanges], version));
    },
    closed: ({ textDocument: { uri } }) => forget(uri),
  };
}
