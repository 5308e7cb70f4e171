import { HearthError, toHearthError, type ErrorCode, type Health, type ModelInfo } from '@hearth/protocol';
import { InlineCompletionItem, type Range } from 'vscode-languageserver';
import type { TextDocument } from 'vscode-languageserver-textdocument';
import { z } from 'zod';
import type { DaemonApi } from '../../daemon-api.js';
import type { Documents } from './documents.js';
import { ghostRequest, type CursorContext } from './ghost-prompt.js';
import { ghostText } from './ghost-text.js';

const positionSchema = z.object({ line: z.int().min(0), character: z.int().min(0) });
const rangeSchema = z.object({ start: positionSchema, end: positionSchema });

/** The part of `InlineCompletionParams` (LSP 3.18) that is used. */
export const inlineCompletionSchema = z.object({
  textDocument: z.object({ uri: z.string() }),
  position: positionSchema,
  context: z
    .object({ selectedCompletionInfo: z.object({ range: rangeSchema, text: z.string() }).optional() })
    .optional(),
});
export type InlineCompletionQuery = z.infer<typeof inlineCompletionSchema>;

/** Why a place got no ghost text. Ghost text is never an error: the reason is for whoever asks "why nothing?". */
export type NoGhostText =
  'unknown_document' | 'nothing_to_go_on' | 'selection_conflict' | 'empty_answer' | 'not_ready' | ErrorCode;

export type GhostOutcome =
  | { readonly kind: 'items'; readonly items: InlineCompletionItem[] }
  | { readonly kind: 'none'; readonly reason: NoGhostText };

/** Ghost text for the documents of one connection. */
export interface GhostTexts {
  readonly ask: (query: InlineCompletionQuery, signal: AbortSignal) => Promise<GhostOutcome>;
}

/**
 * Makes ghost text from a daemon and an editor's documents. A newer question about a document aborts the older
 * one, waiting or running: a stale keystroke never decodes.
 *
 * @param peer whose fair share it counts against: see `Caller.client`.
 */
export function createGhostTexts(daemon: DaemonApi, peer: string, documents: Documents): GhostTexts {
  const newest = new Map<string, AbortController>();

  return {
    ask: async (query, signal) => {
      const { uri } = query.textDocument;
      newest.get(uri)?.abort();
      const controller = new AbortController();
      const abort = (): void => controller.abort();
      signal.addEventListener('abort', abort, { once: true });
      if (signal.aborted) abort();
      newest.set(uri, controller);
      try {
        return await complete(daemon, peer, documents.get(uri), query, controller.signal);
      } catch (error) {
        return none(toHearthError(error).code);
      } finally {
        signal.removeEventListener('abort', abort);
        if (newest.get(uri) === controller) newest.delete(uri);
      }
    },
  };
}

async function complete(
  daemon: DaemonApi,
  peer: string,
  document: TextDocument | undefined,
  query: InlineCompletionQuery,
  signal: AbortSignal,
): Promise<GhostOutcome> {
  if (document === undefined) return none('unknown_document');
  const place = placeOf(document, query);
  if (place === undefined) return none('selection_conflict');
  const model = readyModel(daemon.health());
  if (model === undefined) return none('not_ready');
  const ghost = ghostRequest(place.context, model);
  if (ghost === undefined) return none('nothing_to_go_on');
  const request = { ...ghost, class: 'interactive' } as const;

  for await (const event of daemon.generate(request, { name: 'ghost text', client: peer }, signal)) {
    if (event.kind !== 'done') continue;
    if (event.stopReason === 'cancelled') return none('superseded');
    const text = ghostText(event.text, place.context);
    if (text === '') return none('empty_answer');
    const item = InlineCompletionItem.create(place.selected + text, undefined, place.range);
    return { kind: 'items', items: [item] };
  }
  throw new HearthError('internal', 'The generation ended without an end.');
}

/** A cursor, with the entry of the suggestion list that is selected there taken as if it were typed. */
interface Place {
  readonly context: CursorContext;
  readonly selected: string;
  readonly range: Range;
}

/** Undefined where the selected entry does not end at the cursor, so that no ghost text could follow it. */
function placeOf(document: TextDocument, query: InlineCompletionQuery): Place | undefined {
  const text = document.getText();
  const cursor = document.offsetAt(query.position);
  const info = query.context?.selectedCompletionInfo;
  if (info === undefined) {
    const context = { before: text.slice(0, cursor), after: text.slice(cursor) };
    return { context, selected: '', range: { start: query.position, end: query.position } };
  }
  if (document.offsetAt(info.range.end) !== cursor) return undefined;
  const before = text.slice(0, document.offsetAt(info.range.start)) + info.text;
  return { context: { before, after: text.slice(cursor) }, selected: info.text, range: info.range };
}

/** The model of the first backend that can serve. */
function readyModel(health: Health): ModelInfo | undefined {
  return health.backends.find(({ state, model }) => state.kind === 'ready' && model !== undefined)?.model;
}

function none(reason: NoGhostText): GhostOutcome {
  return { kind: 'none', reason };
}
