import type { TextDocument } from 'vscode';
import type { Middleware } from 'vscode-languageclient/node';

/** Longest document that the sidecar is told of, in UTF-16 units; it would not hold a longer one. */
const longest = 8_388_608;

/** Keeps documents that are too long from the sidecar: sending tens of megabytes would hold up typing. */
export function longDocuments(): {
  readonly has: (document: TextDocument) => boolean;
  readonly middleware: Pick<Middleware, 'didOpen' | 'didChange' | 'didClose'>;
} {
  const left = new Set<string>();
  const key = (document: TextDocument): string => document.uri.toString();
  return {
    has: (document) => left.has(key(document)),
    middleware: {
      didOpen: async (document, next) => {
        if (lengthOf(document) > longest) left.add(key(document));
        else await next(document);
      },
      didChange: async (event, next) => {
        if (!left.has(key(event.document))) await next(event);
      },
      didClose: async (document, next) => {
        if (!left.delete(key(document))) await next(document);
      },
    },
  };
}

/** Without the text itself, which would have to be put together first. */
export function lengthOf(document: TextDocument): number {
  return document.offsetAt(document.lineAt(document.lineCount - 1).rangeIncludingLineBreak.end);
}
