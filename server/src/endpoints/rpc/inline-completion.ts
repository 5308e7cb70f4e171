import type { GhostTextOutcome, GhostTextReason } from '@hearth/protocol';
import { InlineCompletionItem, InlineCompletionTriggerKind } from 'vscode-languageserver';
import * as z from 'zod';
import type { CompletionSession } from '../../completion/session.js';
import type { Documents } from './documents.js';
import { positionSchema, rangeSchema } from './positions.js';

/** The part of `InlineCompletionParams` (LSP 3.18) that is used. */
export const inlineCompletionSchema = z.object({
  textDocument: z.object({ uri: z.string() }),
  position: positionSchema,
  context: z
    .object({
      triggerKind: z.number().optional(),
      selectedCompletionInfo: z.object({ range: rangeSchema, text: z.string() }).nullish(),
    })
    .optional(),
});
export type InlineCompletionQuery = z.infer<typeof inlineCompletionSchema>;

/** What a question came to: the items for the editor, and what is told of it. */
export interface GhostTextAnswer {
  readonly items: readonly InlineCompletionItem[];
  readonly outcome: GhostTextOutcome;
}

/**
 * Ghost text as LSP has it. The selected entry of the suggestion list is taken as typed, and what is suggested begins
 * with it, as the protocol wants.
 */
export async function inlineCompletion(
  session: CompletionSession,
  documents: Documents,
  query: InlineCompletionQuery,
  signal: AbortSignal,
): Promise<GhostTextAnswer> {
  const { uri } = query.textDocument;
  const document = documents.get(uri);
  if (document === undefined) return nothing('unknown_document');
  if (document === 'too_large') return nothing('document_too_large');
  const { position, context } = query;
  const offset = document.offsetAt(position);
  const info = context?.selectedCompletionInfo ?? undefined;
  // No ghost text can follow an entry that does not end at the cursor.
  if (info !== undefined && document.offsetAt(info.range.end) !== offset)
    return nothing('selection_conflict');
  const { outcome, texts } = await session.ask(
    {
      uri,
      offset,
      invoked: context?.triggerKind === InlineCompletionTriggerKind.Invoked,
      selected:
        info === undefined ? undefined : { from: document.offsetAt(info.range.start), text: info.text },
    },
    signal,
  );
  const range = info?.range ?? { start: position, end: position };
  const items = texts.map((text) => InlineCompletionItem.create((info?.text ?? '') + text, undefined, range));
  return { items, outcome };
}

function nothing(reason: GhostTextReason): GhostTextAnswer {
  return { items: [], outcome: { kind: 'none', reason, ms: 0 } };
}
