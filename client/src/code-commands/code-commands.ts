import { commands, Diagnostic, languages, Range, window, type TextDocument, type TextEditor } from 'vscode';
import type { ModelInfo } from '@hearth/protocol';
import { answerInDocument } from '../commands/answer-document.js';
import { HearthFailure } from '../sidecar/hearth-connection.js';
import { readyModel } from '../sidecar/ready-model.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { around, codeTarget, symbolAt, wholeLines, type CodeTarget } from './code-target.js';
import {
  askSystem,
  documentInstruction,
  explainProblemSystem,
  explainSystem,
  fixInstruction,
  listProblems,
  shortened,
  type Problem,
} from './code-wishes.js';
import { questionRequest, tooLong } from './question-prompt.js';
import { suggestNames } from './suggest-names.js';
import { writeTests } from './write-tests.js';

/** What the lightbulb gives to a command; each part is optional, and then the cursor says what is meant. */
export interface CodeCommandArguments {
  readonly range?: Range;
  readonly problems?: readonly Diagnostic[];
}

/** Lines of a function up to which a fix writes it whole; of a longer one it writes the lines around the problem. */
const longestFixed = 60;
const linesAround = 5;

/** The commands about a piece of code, by name. They fail with a HearthFailure that is for the person. */
export function codeCommands(sidecar: Sidecar): Readonly<Record<string, (...args: never[]) => unknown>> {
  return {
    'hearth.explain': (given?: unknown) => explain(sidecar, argumentsOf(given)),
    'hearth.askAboutSelection': (question?: unknown) =>
      askAboutSelection(sidecar, typeof question === 'string' ? question : undefined),
    'hearth.fixProblem': (given?: unknown) => fixProblem(sidecar, argumentsOf(given)),
    'hearth.document': (given?: unknown) => documentCode(sidecar, argumentsOf(given)),
    'hearth.writeTests': async (given?: unknown) => {
      const editor = activeEditor();
      readyModel(sidecar);
      await writeTests(sidecar, await targetOf(editor, argumentsOf(given).range));
    },
    'hearth.suggestNames': () => suggestNames(sidecar, activeEditor()),
  };
}

async function explain(sidecar: Sidecar, given: CodeCommandArguments): Promise<void> {
  const editor = activeEditor();
  const model = readyModel(sidecar);
  if (given.problems !== undefined && given.problems.length > 0) {
    await explainProblem(sidecar, editor, given.problems);
    return;
  }
  const target = await targetOf(editor, given.range);
  const asked = `Explain ${titleOf(target)}`;
  const wish = 'Explain this code.';
  await answerInDocument(sidecar, {
    asked,
    ...about(target, explainSystem, wish, model),
    client: 'explain',
  });
}

async function explainProblem(
  sidecar: Sidecar,
  editor: TextEditor,
  diagnostics: readonly Diagnostic[],
): Promise<void> {
  const model = readyModel(sidecar);
  const target = await codeOfProblems(editor.document, diagnostics);
  const problems = diagnostics.map(toProblem);
  const wish = `Explain this problem:\n${listProblems(problems, target.range.start.line)}`;
  const asked = problems.map(({ message }) => shortened(message, 200)).join('\n');
  await answerInDocument(sidecar, {
    asked: `Explain: ${asked}`,
    ...about(target, explainProblemSystem, wish, model),
    client: 'explain',
  });
}

async function askAboutSelection(sidecar: Sidecar, given?: string): Promise<void> {
  const editor = activeEditor();
  const { displayName } = readyModel(sidecar);
  const target = await targetOf(editor);
  const question =
    given ??
    (await window.showInputBox({
      title: `Ask ${displayName} about ${titleOf(target)}`,
      prompt: 'Your question and the code stay on this machine.',
      placeHolder: 'What does this return for an empty list?',
    }));
  if (question === undefined || question.trim() === '') return;
  await answerInDocument(sidecar, {
    asked: `${question}\n\n${titleOf(target)}`,
    ...about(target, askSystem, `Question: ${question}`, readyModel(sidecar)),
    client: 'ask',
  });
}

async function fixProblem(sidecar: Sidecar, given: CodeCommandArguments): Promise<void> {
  const editor = activeEditor();
  readyModel(sidecar);
  const { document, selection } = editor;
  const meant = given.range ?? wholeLines(document, selection);
  const diagnostics =
    given.problems ??
    languages.getDiagnostics(document.uri).filter(({ range }) => range.intersection(meant) !== undefined);
  if (diagnostics.length === 0) {
    throw new HearthFailure(
      'No problem is reported here. Place the cursor on one ("Go to Next Problem", F8), or say what should change with "Hearth: Edit Inline…".',
    );
  }
  const { range } = await codeOfProblems(document, diagnostics);
  const instruction = fixInstruction(diagnostics.map(toProblem), range.start.line);
  await commands.executeCommand('hearth.editInline', { instruction, range });
}

async function documentCode(sidecar: Sidecar, given: CodeCommandArguments): Promise<void> {
  const editor = activeEditor();
  readyModel(sidecar);
  const { range } = await targetOf(editor, given.range);
  await commands.executeCommand('hearth.editInline', { instruction: documentInstruction, range });
}

/** The function around the problems where it is short, else the lines around them. */
async function codeOfProblems(
  document: TextDocument,
  diagnostics: readonly Diagnostic[],
): Promise<CodeTarget> {
  const all = diagnostics.map(({ range }) => range).reduce((one, other) => one.union(other));
  const symbol = await symbolAt(document, all.start.line);
  const fits =
    symbol !== undefined &&
    symbol.lastLine >= all.end.line &&
    symbol.lastLine - symbol.firstLine < longestFixed;
  const first = fits ? symbol.firstLine : Math.max(0, all.start.line - linesAround);
  const last = fits ? symbol.lastLine : Math.min(document.lineCount - 1, all.end.line + linesAround);
  return { document, range: wholeLines(document, new Range(first, 0, last, 1)) };
}

/** The request that asks `wish` of the code. @throws HearthFailure where it is too long for the model */
function about(target: CodeTarget, system: string, wish: string, model: ModelInfo) {
  const { document, range } = target;
  const request = questionRequest(
    {
      system,
      wish,
      label: `The code, in ${document.languageId}:`,
      text: document.getText(range),
      around: around(target),
    },
    model,
  );
  if (request === undefined) throw new HearthFailure(tooLong('This code', model));
  return request;
}

/** @throws HearthFailure where nothing is selected and the cursor is in nothing that has a name */
async function targetOf(editor: TextEditor, given?: Range): Promise<CodeTarget> {
  const target = await codeTarget(editor, given);
  if (target !== undefined && target.document.getText(target.range).trim() !== '') return target;
  throw new HearthFailure('Select the code that is meant, or place the cursor inside a function or a class.');
}

function activeEditor(): TextEditor {
  const editor = window.activeTextEditor;
  if (editor === undefined) throw new HearthFailure('Open a document and select the code that is meant.');
  return editor;
}

/** What a piece of code is called where it stands: its name, or file and lines. */
function titleOf({ document, range, name }: CodeTarget): string {
  const file = document.uri.path.split('/').at(-1) ?? '';
  const lines = range.isSingleLine
    ? `line ${range.start.line + 1}`
    : `lines ${range.start.line + 1} to ${range.end.line + 1}`;
  return name === undefined ? `${file}, ${lines}` : `${name} (${file}, ${lines})`;
}

function toProblem({ message, range, source, code }: Diagnostic): Problem {
  const number = typeof code === 'object' ? code.value : code;
  const from = [source, number].filter((part) => part !== undefined).join(' ');
  return { message, line: range.start.line, ...(from === '' ? {} : { source: from }) };
}

function argumentsOf(given: unknown): CodeCommandArguments {
  if (typeof given !== 'object' || given === null) return {};
  const range = 'range' in given ? given.range : undefined;
  const problems = 'problems' in given && Array.isArray(given.problems) ? given.problems : undefined;
  return {
    ...(range instanceof Range ? { range } : {}),
    ...(problems === undefined
      ? {}
      : { problems: problems.filter((problem: unknown) => problem instanceof Diagnostic) }),
  };
}
