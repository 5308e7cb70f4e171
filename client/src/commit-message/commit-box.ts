import { type Disposable, Range, Uri, workspace, WorkspaceEdit, type TextDocument } from 'vscode';
import { boxWriter, type BoxWriter, type TextBox } from './box-writer.js';
import type { GitRepository } from './git-api.js';

/** The scheme of the documents behind the boxes of Source Control. */
const scheme = 'vscode-scm';

/** The box of a repository while a message is written into it. */
export interface CommitBox extends BoxWriter, Disposable {}

/**
 * Writes into the document that lies behind the box, where VS Code shows it to extensions: an edit of a document is refused
 * where somebody has typed since, so that no key is ever lost, and somebody typing is heard of at once. The Git extension's own
 * way, setting a value, would overwrite what was typed in the same moment. It serves where there is no such document.
 *
 * @param onTaken called once, when somebody else writes there
 */
export function commitBox({ inputBox, rootUri }: GitRepository, onTaken: () => void): CommitBox {
  const document = workspace.textDocuments.find((one) => isBoxOf(one, rootUri));
  const valueNow = (): string => withoutReturns(inputBox.value);
  // A view that was never shown does not follow its document.
  if (document === undefined || withoutReturns(document.getText()) !== valueNow()) {
    const box: TextBox = {
      text: valueNow,
      replace: (text) => {
        inputBox.value = text;
        return Promise.resolve(true);
      },
      exact: false,
    };
    return { ...boxWriter(box, onTaken), dispose: () => undefined };
  }
  const box: TextBox = {
    text: () => withoutReturns(document.getText()),
    replace: (text) => replaceAll(document, text),
    exact: true,
  };
  const writer = boxWriter(box, onTaken);
  const listener = workspace.onDidChangeTextDocument(({ document: changed }) => {
    if (changed === document) writer.look();
  });
  return {
    ...writer,
    settled: async () => {
      const left = await writer.settled();
      // Where the view has been hidden meanwhile.
      if (left && valueNow() !== box.text()) inputBox.value = box.text();
      return left;
    },
    dispose: () => {
      listener.dispose();
    },
  };
}

/**
 * Changes what differs from the first character on, so that a cursor before it stays where it is.
 *
 * @returns False where the document has changed since the extension last heard of it.
 */
async function replaceAll(document: TextDocument, text: string): Promise<boolean> {
  const now = document.getText();
  let same = 0;
  while (same < now.length && same < text.length && now[same] === text[same]) same += 1;
  if (same === now.length && same === text.length) return true;
  const edit = new WorkspaceEdit();
  const range = new Range(document.positionAt(same), document.positionAt(now.length));
  edit.replace(document.uri, range, text.slice(same));
  return workspace.applyEdit(edit);
}

/** Whether a document is the one behind the box of the repository at `root`: its query names the root, encoded once or twice. */
function isBoxOf({ uri }: TextDocument, root: Uri): boolean {
  if (uri.scheme !== scheme) return false;
  const named = /^rootUri=(.*)$/.exec(uri.query)?.[1];
  if (named === undefined) return false;
  try {
    return Uri.parse(decodeURIComponent(named)).path === root.path;
  } catch {
    return false;
  }
}

function withoutReturns(text: string): string {
  return text.replaceAll('\r\n', '\n');
}
