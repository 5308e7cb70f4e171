import { EndOfLine, Range, workspace, type TextEditor } from 'vscode';
import { afterChange, type Insertion } from './insertion.js';

/** A place in an editor where text is being streamed. */
export interface EditorStream {
  /** Writes the next piece. False once somebody edited the text where it grows, or the editor was closed. */
  readonly write: (text: string) => Promise<boolean>;
  /** Whether nothing could be written since the document is locked. */
  readonly locked: () => boolean;
  readonly dispose: () => void;
}

/** Tries again where somebody typed in the very moment of an edit. */
const attempts = 5;

/**
 * Streams into an editor at its cursor. All pieces together are one undo step; other people's edits elsewhere in
 * the document go on meanwhile, and move the place with them.
 */
export function streamIntoEditor(editor: TextEditor): EditorStream {
  const { document } = editor;
  const start = document.offsetAt(editor.selection.active);
  let place: Insertion | undefined = { start, end: start };
  let first = true;
  /** The text that is being written, so that its own change event can be told from another's. */
  let writing: string | undefined;
  let locked = false;

  const listener = workspace.onDidChangeTextDocument(({ document: changed, contentChanges }) => {
    if (changed !== document) return;
    for (const { rangeOffset, rangeLength, text } of contentChanges) {
      if (place === undefined) return;
      if (text === writing && rangeLength === 0 && rangeOffset === place.end) {
        writing = undefined;
        place = { start: place.start, end: place.end + text.length };
      } else {
        place = afterChange(place, { offset: rangeOffset, removed: rangeLength, inserted: text.length });
      }
    }
  });

  const isUnseen = (): boolean => writing !== undefined;
  const current = (): Insertion | undefined => place;
  const write = async (text: string): Promise<boolean> => {
    // As VS Code would write it, or its change event would not be known again.
    const piece = text.replace(/\r\n?|\n/g, document.eol === EndOfLine.CRLF ? '\r\n' : '\n');
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const now = current();
      if (now === undefined || document.isClosed) return false;
      const at = document.positionAt(now.end);
      writing = piece;
      const undoStops = { undoStopBefore: first, undoStopAfter: false };
      const applied = await editor.edit((edit) => edit.insert(at, piece), undoStops);
      // VS Code says of a locked document that it was changed, and changes nothing.
      if (applied && isUnseen()) {
        locked = true;
        return false;
      }
      if (applied) {
        first = false;
        const grown = current();
        if (grown !== undefined) keepInView(editor, grown);
        return grown !== undefined;
      }
    }
    return false;
  };
  return {
    write,
    locked: () => locked,
    dispose: () => {
      listener.dispose();
    },
  };
}

/** Scrolls with the text for a reader whose cursor is still at its end; the editor moves that cursor by itself. */
function keepInView(editor: TextEditor, { end }: Insertion): void {
  const position = editor.document.positionAt(end);
  if (!editor.selection.active.isEqual(position)) return;
  // The start of the line, so that a long line does not pull the view to the right.
  const line = position.with({ character: 0 });
  editor.revealRange(new Range(line, line));
}
