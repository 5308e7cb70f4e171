import {
  DecorationRangeBehavior,
  Disposable,
  OverviewRulerLane,
  Range,
  ThemeColor,
  window,
  type TextDocument,
  type Uri,
} from 'vscode';
import type { Region } from './region-change.js';

/**
 * How lines of an inline edit look. Never by colour alone: added lines have a plus and removed ones a minus before them, and removed ones
 * are struck through.
 */
export interface EditDecorations {
  readonly draw: (document: TextDocument, region: Region, writtenTo: number | undefined) => void;
  readonly clear: () => void;
  readonly dispose: () => void;
}

export function editDecorations(icon: (name: string) => Uri): EditDecorations {
  const added = window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new ThemeColor('diffEditor.insertedLineBackground'),
    overviewRulerColor: new ThemeColor('diffEditorOverview.insertedForeground'),
    overviewRulerLane: OverviewRulerLane.Right,
    gutterIconPath: icon('edit-added.svg'),
    gutterIconSize: 'contain',
    rangeBehavior: DecorationRangeBehavior.ClosedClosed,
  });
  const removed = window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new ThemeColor('diffEditor.removedLineBackground'),
    overviewRulerColor: new ThemeColor('diffEditorOverview.removedForeground'),
    overviewRulerLane: OverviewRulerLane.Right,
    gutterIconPath: icon('edit-removed.svg'),
    gutterIconSize: 'contain',
    textDecoration: 'line-through',
    opacity: '0.7',
    rangeBehavior: DecorationRangeBehavior.ClosedClosed,
  });
  const writing = window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new ThemeColor('editor.lineHighlightBackground'),
    after: { contentText: '  … writing here', color: new ThemeColor('editorCodeLens.foreground') },
  });
  let drawn: TextDocument | undefined;

  const set = (
    document: TextDocument,
    ranges: Readonly<Record<'added' | 'removed' | 'writing', Range[]>>,
  ): void => {
    for (const editor of window.visibleTextEditors) {
      if (editor.document !== document) continue;
      editor.setDecorations(added, ranges.added);
      editor.setDecorations(removed, ranges.removed);
      editor.setDecorations(writing, ranges.writing);
    }
  };
  return {
    draw: (document, { start, lines }, writtenTo) => {
      drawn = document;
      const at = (mark: 'added' | 'removed'): Range[] =>
        lines.flatMap((line, index) =>
          line.mark === mark ? [new Range(start + index, 0, start + index, line.text.length)] : [],
        );
      const cursor = writtenTo === undefined ? [] : [new Range(start + writtenTo, 0, start + writtenTo, 0)];
      set(document, { added: at('added'), removed: at('removed'), writing: cursor });
    },
    clear: () => {
      if (drawn !== undefined) set(drawn, { added: [], removed: [], writing: [] });
      drawn = undefined;
    },
    dispose: () => {
      Disposable.from(added, removed, writing).dispose();
    },
  };
}
