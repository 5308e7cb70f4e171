import {
  CodeAction,
  CodeActionKind,
  CodeActionTriggerKind,
  languages,
  type CodeActionContext,
  type Diagnostic,
  type Disposable,
  type DocumentSelector,
  type Range,
  type Selection,
} from 'vscode';
import type { Sidecar } from '../sidecar/sidecar.js';
import type { CodeCommandArguments } from './code-commands.js';
import { shortened } from './code-wishes.js';

/** Most problems that one menu offers to fix: those after would only lengthen it. */
const mostProblems = 3;
/** Most characters of a problem in the title of an action. */
const longestTitle = 60;

const documents: DocumentSelector = ['file', 'untitled', 'vscode-remote', 'vscode-notebook-cell'].map(
  (scheme) => ({ scheme }),
);
const refactor = CodeActionKind.RefactorRewrite.append('hearth');
const quickFix = CodeActionKind.QuickFix.append('hearth');
const explain = CodeActionKind.Refactor.append('hearth').append('explain');

/**
 * What Hearth offers in the lightbulb. Each action is a command that begins to work when it is chosen: nothing is read and
 * nothing asked for a menu. (That an action is a model's is said in its title, since VS Code's mark for it is closed
 * to extensions.)
 */
export function offerInLightbulb(sidecar: Sidecar): Disposable {
  return languages.registerCodeActionsProvider(
    documents,
    {
      provideCodeActions: (_document, range, context) =>
        sidecar.state().kind === 'ready' ? actionsFor(range, context) : [],
    },
    { providedCodeActionKinds: [quickFix, refactor, explain] },
  );
}

function actionsFor(range: Range | Selection, context: CodeActionContext): CodeAction[] {
  const { diagnostics, only, triggerKind } = context;
  const fixes = diagnostics.slice(0, mostProblems).flatMap((problem) => fixing(problem));
  // A lightbulb on each line that the cursor passes would be noise.
  const asked = !range.isEmpty || triggerKind === CodeActionTriggerKind.Invoke;
  const rewrites = asked ? rewriting(range) : [];
  return [...fixes, ...rewrites].filter(({ kind }) => only === undefined || (kind && only.contains(kind)));
}

function fixing(problem: Diagnostic): CodeAction[] {
  const what = shortened(problem.message, longestTitle);
  const given = { problems: [problem] };
  const fix = action(`Fix with Hearth: ${what}`, quickFix, 'hearth.fixProblem', given);
  const tell = action(`Explain with Hearth: ${what}`, quickFix, 'hearth.explain', given);
  fix.diagnostics = [problem];
  tell.diagnostics = [problem];
  return [fix, tell];
}

function rewriting(range: Range): CodeAction[] {
  const given = { range };
  return [
    action('Explain with Hearth', explain, 'hearth.explain', given),
    action('Document with Hearth', refactor.append('document'), 'hearth.document', given),
    action('Write Tests with Hearth', refactor.append('tests'), 'hearth.writeTests', given),
    action('Edit with Hearth…', refactor.append('edit'), 'hearth.editInline', given),
  ];
}

function action(
  title: string,
  kind: CodeActionKind,
  command: string,
  given: CodeCommandArguments,
): CodeAction {
  const offered = new CodeAction(title, kind);
  offered.command = { command, title, arguments: [given] };
  return offered;
}
