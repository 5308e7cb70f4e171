import {
  CodeLens,
  commands,
  Disposable,
  EventEmitter,
  languages,
  Position,
  Range,
  Selection,
  Uri,
  window,
  workspace,
  type ExtensionContext,
  type TextDocument,
  type TextEditor,
} from 'vscode';
import { lockedFailure } from '../locked-document.js';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import { readyModel } from '../sidecar/ready-model.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { editDecorations, type EditDecorations } from './decorations.js';
import { startEditSession, type EditSession } from './edit-session.js';
import { editBoxes, instructionOf, type EditBoxes } from './edit-thread.js';
import { hunksOf, type Hunk } from './marked-lines.js';
import { holdRegion } from './region-in-document.js';

/** What *Edit Inline* takes from a caller that has it already, such as a quick fix. */
export interface EditInlineArguments {
  readonly instruction?: string;
  /** Lines to change. @default the selection's */
  readonly range?: Range;
}

/** Commands of inline edits, by name. They fail with a HearthFailure that is for the person. */
export interface InlineEdits extends Disposable {
  readonly commands: Readonly<Record<string, (...args: never[]) => unknown>>;
}

/**
 * *Hearth: Edit Inline*: a box at the selection, a change that is written into the document as it is thought of, and a decision for
 * each part of it. One edit at a time.
 */
export function inlineEdits(sidecar: Sidecar, context: ExtensionContext): InlineEdits {
  // Made with the first edit: most windows never have one, and activation is not to wait for it.
  let tools: Tools | undefined;
  let current: { readonly session: EditSession; readonly parts: Disposable } | undefined;

  const close = (): void => {
    const ended = current;
    current = undefined;
    if (ended === undefined) return;
    tools?.decorations.clear();
    ended.parts.dispose();
    ended.session.dispose();
    tools?.lensesChanged.fire();
    void commands.executeCommand('setContext', 'hearth.inlineEdit', undefined);
  };

  const begin = (editor: TextEditor, range: Range): EditSession => {
    const { document } = editor;
    tools ??= makeTools(context, () => current?.session);
    const { boxes, decorations, lensesChanged } = tools;
    // A selection that ends at the start of a line does not mean that line.
    const last =
      range.end.character === 0 && range.end.line > range.start.line ? range.end.line - 1 : range.end.line;
    const session = startEditSession(holdRegion(document, range.start.line, last + 1), {
      connection: sidecar.connection,
      model: () => readyModel(sidecar),
    });
    const draw = (): void => {
      const state = session.state();
      if (state.kind === 'over') {
        close();
        return;
      }
      decorations.draw(document, session.region.region(), session.writtenTo());
      lensesChanged.fire();
      void commands.executeCommand('setContext', 'hearth.inlineEdit', state.kind);
    };
    const parts = Disposable.from(
      boxes.open(session),
      session.onDidChange(draw),
      window.onDidChangeVisibleTextEditors(draw),
    );
    current = { session, parts };
    draw();
    return session;
  };

  const editInline = async (given?: EditInlineArguments): Promise<void> => {
    const editor = window.activeTextEditor;
    if (editor === undefined) {
      throw new HearthFailure('Open a document and select the code that is to change.');
    }
    readyModel(sidecar);
    if (workspace.fs.isWritableFileSystem(editor.document.uri.scheme) === false) throw lockedFailure();
    if (current !== undefined && current.session.state().kind !== 'asking') {
      throw new HearthFailure('An edit is waiting for your decision: accept or reject it first.');
    }
    close();
    const session = begin(editor, given?.range ?? editor.selection);
    if (given?.instruction !== undefined) await session.write(given.instruction);
    else showEnd(editor, session);
  };

  const submit = async (reply: unknown): Promise<void> => {
    const instruction = instructionOf(reply)?.trim() ?? '';
    if (instruction === '') return;
    await current?.session.write(instruction);
  };
  const decideHunk = async (verdict: 'accept' | 'reject', hunk?: Hunk): Promise<void> => {
    const session = current?.session;
    const chosen = hunk ?? (session && hunkAtCursor(session));
    if (chosen !== undefined) await session?.decide(verdict, chosen);
  };

  return {
    commands: {
      'hearth.editInline': (given?: unknown) => editInline(argumentsOf(given)),
      'hearth.submitInlineEdit': submit,
      'hearth.stopInlineEdit': () => current?.session.stop(),
      'hearth.acceptInlineEdit': () => current?.session.decide('accept'),
      'hearth.rejectInlineEdit': () => current?.session.decide('reject'),
      'hearth.acceptInlineChange': (hunk?: Hunk) => decideHunk('accept', hunk),
      'hearth.rejectInlineChange': (hunk?: Hunk) => decideHunk('reject', hunk),
      'hearth.retryInlineEdit': () => current?.session.retry(),
      'hearth.closeInlineEdit': close,
    },
    dispose: () => {
      close();
      tools?.dispose();
    },
  };
}

interface Tools extends Disposable {
  readonly boxes: EditBoxes;
  readonly decorations: EditDecorations;
  readonly lensesChanged: EventEmitter<void>;
}

function makeTools(context: ExtensionContext, session: () => EditSession | undefined): Tools {
  const boxes = editBoxes();
  const decorations = editDecorations((name) => Uri.joinPath(context.extensionUri, 'media', name));
  const lensesChanged = new EventEmitter<void>();
  const lenses = languages.registerCodeLensProvider('*', {
    onDidChangeCodeLenses: lensesChanged.event,
    provideCodeLenses: (document) => lensesOf(document, session()),
  });
  const all = Disposable.from(boxes, decorations, lensesChanged, lenses);
  return { boxes, decorations, lensesChanged, dispose: () => void all.dispose() };
}

/** Puts the cursor where the box hangs: VS Code's *Focus Comment on Current Line* then leads into it. */
function showEnd(editor: TextEditor, { region }: EditSession): void {
  const { start, lines } = region.region();
  const last = editor.document.lineAt(Math.min(editor.document.lineCount - 1, start + lines.length - 1));
  editor.selection = new Selection(new Position(start, 0), last.range.end);
}

/** A line of actions above the edit, and one above each of its changes. */
function lensesOf(document: TextDocument, session: EditSession | undefined): CodeLens[] {
  if (session === undefined || session.region.document !== document) return [];
  const { start, lines } = session.region.region();
  const lens = (line: number, title: string, command: string, ...args: unknown[]): CodeLens =>
    new CodeLens(new Range(line, 0, line, 0), { title, command, arguments: args });
  switch (session.state().kind) {
    case 'writing':
      return [lens(start, '$(debug-stop) Stop', 'hearth.stopInlineEdit')];
    case 'review':
      return [
        lens(start, '$(check-all) Accept all', 'hearth.acceptInlineEdit'),
        lens(start, '$(discard) Reject all', 'hearth.rejectInlineEdit'),
        lens(start, '$(refresh) Retry', 'hearth.retryInlineEdit'),
        ...hunksOf(lines).flatMap((hunk) => [
          lens(start + hunk.start, '$(check) Accept', 'hearth.acceptInlineChange', hunk),
          lens(start + hunk.start, '$(x) Reject', 'hearth.rejectInlineChange', hunk),
        ]),
      ];
    case 'asking':
    case 'over':
      return [];
  }
}

/** The change under the cursor, else the first. */
function hunkAtCursor({ region }: EditSession): Hunk | undefined {
  const { start, lines } = region.region();
  const hunks = hunksOf(lines);
  const line = (window.activeTextEditor?.selection.active.line ?? 0) - start;
  return hunks.find((hunk) => line >= hunk.start && line < hunk.end) ?? hunks[0];
}

function argumentsOf(given: unknown): EditInlineArguments {
  if (typeof given !== 'object' || given === null) return {};
  const instruction = 'instruction' in given ? given.instruction : undefined;
  const range = 'range' in given ? given.range : undefined;
  return {
    ...(typeof instruction === 'string' ? { instruction } : {}),
    ...(range instanceof Range ? { range } : {}),
  };
}
