import {
  commands,
  ProgressLocation,
  Range,
  window,
  workspace,
  type Position,
  type TextDocument,
  type TextEditor,
  type WorkspaceEdit,
} from 'vscode';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import { readyModel } from '../sidecar/ready-model.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { signalOf } from '../vscode-signal.js';
import { namesIn, namesSchema, namesSystem } from './name-suggestions.js';
import { questionRequest } from './question-prompt.js';

/** Lines around the symbol that the model sees. */
const linesAround = 30;
/** Tokens of the answer. */
const answerTokens = 128;

/**
 * Offers names for the symbol under the cursor, and renames it everywhere to the one that is picked, as *Rename Symbol*
 * would. (VS Code's own list of suggestions in the rename box is not open to extensions.)
 *
 * @throws HearthFailure
 */
export async function suggestNames(sidecar: Sidecar, editor: TextEditor): Promise<void> {
  const model = readyModel(sidecar);
  const { document, selection } = editor;
  const position = selection.active;
  const word = document.getWordRangeAtPosition(position);
  if (word === undefined) throw new HearthFailure('Place the cursor on the name that is to change.');
  await mustBeRenamable(document, position);
  const present = document.getText(word);
  const first = Math.max(0, word.start.line - linesAround);
  const last = Math.min(document.lineCount - 1, word.end.line + linesAround);
  const asked = questionRequest(
    {
      system: namesSystem,
      wish: `Suggest better names for \`${present}\`, as a JSON array of strings, the best first.`,
      label: `The code, in ${document.languageId}:`,
      text: document.getText(new Range(first, 0, last, document.lineAt(last).text.length)),
    },
    model,
  );
  if (asked === undefined) {
    throw new HearthFailure(
      `The code around this name is too long for ${model.displayName}. Choose a model with a larger context with "Hearth: Switch Model…".`,
    );
  }
  const request = {
    model: model.id,
    messages: asked.messages,
    max_tokens: answerTokens,
    response_format: { type: 'json_schema' as const, schema: namesSchema },
  };
  const progress = {
    location: ProgressLocation.Notification,
    cancellable: true,
    title: 'Hearth: looking for names',
  };
  const outcome = await window.withProgress(progress, (_report, token) =>
    sidecar.connection().generate({ request, client: 'names' }, () => undefined, signalOf(token)),
  );
  if (outcome.kind === 'cancelled') return;
  const names = namesIn(outcome.result.content, present);
  if (names.length === 0) {
    throw new HearthFailure(
      `${model.displayName} had no other name for "${present}". A larger model may: "Hearth: Switch Model…".`,
    );
  }
  const picked = await window.showQuickPick(names, {
    title: `Rename ${present} to`,
    placeHolder: 'It is renamed everywhere, as Rename Symbol would. Escape leaves it as it is.',
  });
  if (picked !== undefined) await rename(document, position, picked);
}

/** @throws HearthFailure where no extension here can rename what stands there */
async function mustBeRenamable(document: TextDocument, position: Position): Promise<void> {
  try {
    await commands.executeCommand('vscode.prepareRename', document.uri, position);
  } catch {
    throw new HearthFailure(
      `This cannot be renamed: no extension here renames symbols of ${document.languageId}, or this is none.`,
    );
  }
}

async function rename(document: TextDocument, position: Position, name: string): Promise<void> {
  const edit = await commands.executeCommand<WorkspaceEdit>(
    'vscode.executeDocumentRenameProvider',
    document.uri,
    position,
    name,
  );
  if (!(await workspace.applyEdit(edit))) {
    throw new HearthFailure('The document changed meanwhile, and nothing was renamed. Try again.');
  }
}
