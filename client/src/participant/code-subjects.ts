import {
  languages,
  Location,
  Range,
  Uri,
  window,
  workspace,
  type ChatPromptReference,
  type Diagnostic,
  type TextDocument,
} from 'vscode';
import type { CodeSubject } from './code-question.js';

/** Most problems that are told of one piece of code. */
const mostProblems = 20;

/** Code that a question is about, and where it stands. */
export interface FoundSubject extends CodeSubject {
  readonly location: Location;
}

/**
 * The code that a question is about: what is attached to it; else what is selected; else the whole of the file that is
 * being edited.
 */
export async function findSubjects(
  references: readonly ChatPromptReference[],
): Promise<readonly FoundSubject[]> {
  const attached = await Promise.all(references.map(({ value }) => attachedSubject(value)));
  const found = attached.filter((subject) => subject !== undefined);
  if (found.length > 0) return found;
  const editor = window.activeTextEditor;
  if (editor === undefined) return [];
  return [subjectIn(editor.document, editor.selection.isEmpty ? undefined : editor.selection)];
}

/** References may be of kinds that are no code, and of files that are gone. */
async function attachedSubject(value: unknown): Promise<FoundSubject | undefined> {
  const place =
    value instanceof Location
      ? { uri: value.uri, range: value.range }
      : value instanceof Uri
        ? { uri: value, range: undefined }
        : undefined;
  if (place === undefined) return undefined;
  try {
    return subjectIn(await workspace.openTextDocument(place.uri), place.range);
  } catch {
    return undefined;
  }
}

function subjectIn(document: TextDocument, range: Range | undefined): FoundSubject {
  const last = document.lineAt(document.lineCount - 1);
  const whole = new Range(0, 0, document.lineCount - 1, last.text.length);
  const place = range === undefined ? whole : document.validateRange(range);
  const name = workspace.asRelativePath(document.uri);
  const lines = range === undefined ? '' : `:${place.start.line + 1}-${place.end.line + 1}`;
  const problems = languages
    .getDiagnostics(document.uri)
    .filter((problem) => place.intersection(problem.range) !== undefined)
    .slice(0, mostProblems)
    .map(problemInWords);
  return {
    language: document.languageId,
    label: `${name}${lines}`,
    code: document.getText(place),
    problems,
    location: new Location(document.uri, place),
  };
}

function problemInWords({ message, range, source }: Diagnostic): string {
  return `line ${range.start.line + 1}: ${message}${source === undefined ? '' : ` (${source})`}`;
}
