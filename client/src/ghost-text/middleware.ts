import {
  InlineCompletionItem,
  InlineCompletionTriggerKind,
  Range,
  type InlineCompletionList,
  type Position,
  type TextDocument,
} from 'vscode';
import type { GhostTextOutcome, GhostTextReason } from '@hearth/protocol';
import type { Middleware } from 'vscode-languageclient/node';
import { lengthOf } from './long-documents.js';
import { alongShown, type CursorNow, type ShownSuggestion } from './shown-suggestion.js';

/**
 * Between the editor and the sidecar's ghost text: asks nothing where it is off, and nothing while what is shown still
 * holds. All else is for the sidecar to decide: when to ask the engine, and what of its answer to show. VS Code cancels
 * the question at the next keystroke.
 *
 * @param why the reason for asking nothing in a document; undefined: ask
 * @param told what became of a trigger that the sidecar has not heard of
 */
export function inlineCompletions(
  why: (document: TextDocument) => GhostTextReason | undefined,
  told: (outcome: GhostTextOutcome) => void,
): Pick<Middleware, 'provideInlineCompletionItems'> {
  let shown: ShownSuggestion | undefined;
  return {
    provideInlineCompletionItems: async (document, position, context, token, next) => {
      const reason = why(document);
      if (reason !== undefined) {
        told({ kind: 'none', reason, ms: 0 });
        return null;
      }
      const selected = context.selectedCompletionInfo;
      if (selected !== undefined && !selected.range.end.isEqual(position)) {
        told({ kind: 'none', reason: 'selection_conflict', ms: 0 });
        return null;
      }
      const now = cursorAt(document, position);
      const along = shown === undefined || selected !== undefined ? undefined : alongShown(shown, now);
      const forMore = context.triggerKind === InlineCompletionTriggerKind.Invoke && along?.texts.length === 1;
      if (along !== undefined && !forMore) {
        shown = along;
        const lines = along.texts[0]?.split('\n').length ?? 0;
        told({ kind: 'shown', source: 'shown', ms: 0, lines });
        return along.texts.map((text) => new InlineCompletionItem(text, new Range(position, position)));
      }
      const result = await next(document, position, context, token);
      if (!token.isCancellationRequested && selected === undefined) shown = shownBy(result, now);
      return result;
    },
  };
}

function cursorAt(document: TextDocument, position: Position): CursorNow {
  return {
    uri: document.uri.toString(),
    offset: document.offsetAt(position),
    length: lengthOf(document),
    textSince: (offset) => document.getText(new Range(document.positionAt(offset), position)),
  };
}

function shownBy(
  result: InlineCompletionItem[] | InlineCompletionList | null | undefined,
  { uri, offset, length }: CursorNow,
): ShownSuggestion | undefined {
  const items = Array.isArray(result) ? result : (result?.items ?? []);
  const texts = items.flatMap(({ insertText }) => (typeof insertText === 'string' ? [insertText] : []));
  return texts.length === 0 ? undefined : { uri, offset, length, texts };
}
