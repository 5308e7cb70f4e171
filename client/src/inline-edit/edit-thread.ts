import {
  comments,
  CommentThreadCollapsibleState,
  Disposable,
  Range,
  type CommentController,
  type CommentReply,
} from 'vscode';
import type { EditSession } from './edit-session.js';

/**
 * The box at the code in which the person says what should change: a comment thread, which VS Code lets extensions
 * place in an editor, with a field of several lines, a keyboard, and a screen reader's names.
 */
export interface EditBoxes extends Disposable {
  /** Opens the box of an edit, and keeps it in step until the edit is over. */
  readonly open: (session: EditSession) => Disposable;
}

/** The id that menus in the manifest name. */
export const controllerId = 'hearth.inlineEdit';

export function editBoxes(): EditBoxes {
  const controller: CommentController = comments.createCommentController(controllerId, 'Hearth: Edit Inline');
  controller.options = {
    prompt: 'What should change?',
    placeHolder: 'Say what should change. It stays on this machine.',
  };
  return {
    open: (session) => openBox(controller, session),
    dispose: () => controller.dispose(),
  };
}

function openBox(controller: CommentController, session: EditSession): Disposable {
  const { document, region } = session.region;
  const rangeNow = (): Range => {
    const { start, lines } = region();
    const last = Math.min(document.lineCount - 1, start + Math.max(0, lines.length - 1));
    return new Range(start, 0, last, 0);
  };
  const thread = controller.createCommentThread(document.uri, rangeNow(), []);
  thread.collapsibleState = CommentThreadCollapsibleState.Expanded;
  thread.canReply = true;

  const draw = (): void => {
    const state = session.state();
    if (state.kind === 'over') return;
    thread.contextValue = state.kind;
    thread.canReply = state.kind !== 'writing';
    const range = rangeNow();
    if (thread.range?.isEqual(range) !== true) thread.range = range;
    // In the title and not as a comment: the first comment of a window opens the Comments panel.
    thread.label = state.text === '' ? 'Hearth: what should change?' : `Hearth: ${state.text}`;
  };
  draw();
  return Disposable.from(session.onDidChange(draw), { dispose: () => thread.dispose() });
}

/** What was written into the box; undefined where the command came from elsewhere. */
export function instructionOf(reply: unknown): string | undefined {
  if (typeof reply === 'string') return reply;
  if (typeof reply !== 'object' || reply === null || !('text' in reply)) return undefined;
  const { text } = reply as Partial<CommentReply>;
  return typeof text === 'string' ? text : undefined;
}
