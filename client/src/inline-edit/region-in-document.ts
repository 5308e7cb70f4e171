import {
  commands,
  Disposable,
  EndOfLine,
  EventEmitter,
  Range,
  TextDocumentChangeReason,
  window,
  workspace,
  WorkspaceEdit,
  type Event,
  type TextDocument,
} from 'vscode';
import { lineEdit, type LineEdit, type MarkedLine } from './marked-lines.js';
import { followChange, type Region } from './region-change.js';

/** What somebody else did to the lines of an edit. */
export type Interference =
  /** They changed some of them: those are theirs, the rest can still be decided. */
  | 'inside'
  /** The lines are not to be told apart any more: by a change over their border, by undo, or since the document was closed. */
  | 'lost';

/** The lines of a document that an inline edit works on, and that move with what others write elsewhere. */
export interface RegionInDocument {
  readonly document: TextDocument;
  readonly region: () => Region;
  /**
   * Makes the document show `lines`. False where it cannot be written to, since it is closed or locked, and where somebody wrote
   * into the region in the very moment: what they wrote is not in `lines`.
   * All calls together are one undo step.
   */
  readonly show: (lines: readonly MarkedLine[]) => Promise<boolean>;
  /**
   * Makes one undo step of all that was shown, however often the cursor moved meanwhile, by going back and writing the
   * outcome at once. Does nothing where others wrote in the document too: their steps lie between ours.
   */
  readonly condense: () => Promise<void>;
  readonly onDidChange: Event<void>;
  readonly onInterference: Event<Interference>;
  readonly dispose: () => void;
}

/** Tries again where somebody typed in the very moment of an edit. */
const attempts = 5;

/** Takes hold of lines `start` to `end`, exclusive. */
export function holdRegion(document: TextDocument, start: number, end: number): RegionInDocument {
  let region: Region = {
    start,
    lines: Array.from({ length: end - start }, (_, index) => ({
      mark: 'same',
      text: document.lineAt(start + index).text,
    })),
  };
  const original = document.getText();
  let lost = false;
  let shared = false;
  let condensing = false;
  /** How often somebody else wrote into the region. */
  let intrusions = 0;
  let edits = 0;
  let first = true;
  /** The change that is being made, so that its own event can be told from another's. */
  let writing:
    { readonly range: Range; readonly text: string; readonly lines: readonly MarkedLine[] } | undefined;
  const changed = new EventEmitter<void>();
  const interfered = new EventEmitter<Interference>();

  const lose = (): void => {
    if (lost) return;
    lost = true;
    interfered.fire('lost');
  };
  const listeners = Disposable.from(
    changed,
    interfered,
    workspace.onDidCloseTextDocument((closed) => {
      if (closed === document) lose();
    }),
    workspace.onDidChangeTextDocument(({ document: other, contentChanges, reason }) => {
      if (other !== document || lost || condensing || contentChanges.length === 0) return;
      const [only] = contentChanges;
      if (
        contentChanges.length === 1 &&
        only !== undefined &&
        writing?.text === only.text &&
        writing.range.isEqual(only.range)
      ) {
        region = { start: region.start, lines: writing.lines };
        writing = undefined;
        changed.fire();
        return;
      }
      if (reason === TextDocumentChangeReason.Undo || reason === TextDocumentChangeReason.Redo) {
        lose();
        return;
      }
      shared = true;
      let inside = false;
      // Each in the coordinates before all of them: from the bottom up none moves the next.
      const upwards = [...contentChanges].sort((one, two) => two.rangeOffset - one.rangeOffset);
      for (const { range, text } of upwards) {
        const effect = followChange(region, {
          startLine: range.start.line,
          startCharacter: range.start.character,
          endLine: range.end.line,
          endCharacter: range.end.character,
          text,
        });
        if (effect.kind === 'across') {
          lose();
          return;
        }
        region = effect.region;
        inside ||= effect.kind === 'inside';
      }
      changed.fire();
      if (!inside) return;
      intrusions += 1;
      interfered.fire('inside');
    }),
  );

  const isUnseen = (): boolean => writing !== undefined;

  const show = async (lines: readonly MarkedLine[]): Promise<boolean> => {
    const intrusionsBefore = intrusions;
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      // Tried again with lines that do not hold what was typed meanwhile, the edit would take it away.
      if (lost || document.isClosed || intrusions > intrusionsBefore) return false;
      const edit = lineEdit(textsOf(region.lines), textsOf(lines));
      if (edit === undefined) {
        region = { start: region.start, lines };
        changed.fire();
        return true;
      }
      const { range, text } = asTextEdit(document, region, edit);
      writing = { range, text, lines };
      const applied = await replace(document, range, text, first).catch(() => false);
      const unseen = isUnseen();
      writing = undefined;
      // VS Code says of a locked document that it was changed, and changes nothing.
      if (applied && unseen) return false;
      if (applied) {
        first = false;
        edits += 1;
        return true;
      }
    }
    return false;
  };

  const condense = async (): Promise<void> => {
    if (lost || shared || edits < 2 || document.isClosed) return;
    condensing = true;
    try {
      // Undo works on the editor that has the focus.
      const editor = await window.showTextDocument(document);
      const outcome = document.getText();
      let back = 0;
      for (; back < edits && document.getText() !== original; back += 1) {
        await commands.executeCommand('undo');
      }
      if (document.getText() !== original) {
        for (; back > 0; back -= 1) await commands.executeCommand('redo');
        return;
      }
      if (outcome === original) return;
      const all = new Range(0, 0, document.lineCount, 0);
      const { range, text } = smallest(document, all, outcome);
      await editor.edit((builder) => builder.replace(range, text));
    } finally {
      condensing = false;
    }
  };

  return {
    document,
    region: () => region,
    show,
    condense,
    onDidChange: changed.event,
    onInterference: interfered.event,
    dispose: () => {
      lost = true;
      listeners.dispose();
    },
  };
}

/** Through an editor that shows the document, where one does: only editors can join edits into one undo step. */
async function replace(document: TextDocument, range: Range, text: string, first: boolean): Promise<boolean> {
  const editor = window.visibleTextEditors.find((candidate) => candidate.document === document);
  if (editor === undefined) {
    const edit = new WorkspaceEdit();
    edit.replace(document.uri, range, text);
    return workspace.applyEdit(edit);
  }
  const undoStops = { undoStopBefore: first, undoStopAfter: false };
  return editor.edit((builder) => builder.replace(range, text), undoStops);
}

/** Whole lines as a change of characters; the last line of a document has no line end to take along. */
function asTextEdit(
  document: TextDocument,
  region: Region,
  { start, end, lines }: LineEdit,
): { readonly range: Range; readonly text: string } {
  const eol = document.eol === EndOfLine.CRLF ? '\r\n' : '\n';
  const [from, to] = [region.start + start, region.start + end];
  const body = lines.join(eol);
  if (to < document.lineCount) {
    return { range: new Range(from, 0, to, 0), text: lines.length === 0 ? '' : body + eol };
  }
  const last = document.lineAt(document.lineCount - 1).range.end;
  if (from === to) return { range: new Range(last, last), text: eol + body };
  if (lines.length > 0 || from === 0)
    return { range: new Range(document.lineAt(from).range.start, last), text: body };
  return { range: new Range(document.lineAt(from - 1).range.end, last), text: '' };
}

/** The part in which the document and `text` differ, so that cursors elsewhere stay where they are. */
function smallest(
  document: TextDocument,
  all: Range,
  text: string,
): { readonly range: Range; readonly text: string } {
  const now = document.getText(all);
  let head = 0;
  while (head < now.length && head < text.length && now[head] === text[head]) head += 1;
  let tail = 0;
  const most = Math.min(now.length, text.length) - head;
  while (tail < most && now[now.length - 1 - tail] === text[text.length - 1 - tail]) tail += 1;
  const range = new Range(document.positionAt(head), document.positionAt(now.length - tail));
  return { range, text: text.slice(head, text.length - tail) };
}

function textsOf(lines: readonly MarkedLine[]): readonly string[] {
  return lines.map(({ text }) => text);
}
