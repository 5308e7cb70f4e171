import {
  CompletionItemKind,
  InsertTextFormat,
  InsertTextMode,
  MarkupKind,
  type CompletionItem,
  type CompletionList,
  type InlineCompletionItem,
} from 'vscode-languageserver';
import * as z from 'zod';
import type { EditedText } from './edited-text.js';
import type { InlineCompletionQuery } from './inline-completion.js';
import { positionSchema } from './positions.js';

/**
 * Ghost text for editors without `textDocument/inlineCompletion`, such as Helix: the same suggestions as entries of the
 * ordinary completion list. It is offered to a client that declares the one and not the other.
 */

/** The part of `CompletionParams` that is used. */
export const completionSchema = z.object({
  textDocument: z.object({ uri: z.string() }),
  position: positionSchema,
});

const clientSchema = z.object({
  capabilities: z.object({
    textDocument: z.object({ completion: z.unknown(), inlineCompletion: z.unknown() }).partial(),
  }),
});

/**
 * Whether the client of these `initialize` parameters knows the completion list, and no ghost text. Emacs declares ghost
 * text as `null`, its empty object.
 */
export function wantsCompletionList(params: unknown): boolean {
  const client = clientSchema.safeParse(params);
  if (!client.success) return false;
  const { completion, inlineCompletion } = client.data.capabilities.textDocument;
  return isDeclared(completion) && completion !== null && !isDeclared(inlineCompletion);
}

/** What the server then says that it offers. After these characters a suggestion is worth having. */
export const completionOptions = { triggerCharacters: ['.', '(', '[', '{', '=', ',', ':'] };

/** The question as ghost text has it: typing triggers it. */
export function asInlineQuery({
  textDocument,
  position,
}: z.infer<typeof completionSchema>): InlineCompletionQuery {
  return { textDocument, position, context: { triggerKind: 2 } };
}

/** Longest label, in UTF-16 units. */
const longestLabel = 60;

/** Suggestions as a list that the client asks for again as one types on, since they depend on every key. */
export function asCompletionList(
  document: EditedText,
  { position }: z.infer<typeof completionSchema>,
  items: readonly InlineCompletionItem[],
): CompletionList {
  const begin = document.offsetAt({ ...position, character: 0 });
  const line = document.slice(begin, document.offsetAt(position));
  const word = /\w*$/.exec(line)?.[0] ?? '';
  const start = { ...position, character: position.character - word.length };
  return {
    isIncomplete: true,
    items: items.flatMap(({ insertText }, index) =>
      typeof insertText === 'string' ? [entry(insertText, index)] : [],
    ),
  };

  function entry(text: string, index: number): CompletionItem {
    const [first = '', ...more] = text.split('\n');
    const shown = (word + first).trim() === '' ? (more[0] ?? '').trim() : (word + first).trim();
    const cut = shown.length > longestLabel ? shown.slice(0, longestLabel) : shown;
    return {
      label: cut.length < shown.length || more.length > 0 ? `${cut} …` : cut,
      kind: CompletionItemKind.Text,
      detail: 'Hearth',
      documentation: { kind: MarkupKind.Markdown, value: fenced(line + text) },
      // What is typed already must match, or the client hides the entry; it comes after what language servers know.
      filterText: word + first,
      sortText: `~${index}`,
      insertTextFormat: InsertTextFormat.PlainText,
      insertTextMode: InsertTextMode.asIs,
      textEdit: { range: { start, end: position }, newText: word + text },
    };
  }
}

function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}

function isDeclared(capability: unknown): boolean {
  return capability !== undefined && capability !== false;
}
