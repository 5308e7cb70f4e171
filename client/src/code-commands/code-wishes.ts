/** What the commands about code ask of the model, in words. */

/** A problem that an extension has reported for the code. */
export interface Problem {
  readonly message: string;
  /** Line of the document, counting from 0. */
  readonly line: number;
  /** Such as `ts`, and its number; absent where the extension told none. */
  readonly source?: string;
}

/** Most problems of one wish, and most characters of each one's message: compilers can be long-winded. */
const mostProblems = 10;
const longestMessage = 600;

export const explainSystem =
  'You explain source code to a programmer. Be short and concrete. Say what it does, then what is easily overlooked. Answer in Markdown.';
export const explainProblemSystem =
  'You explain problems in source code to a programmer. Be short and concrete. Say what the problem means, why it is there, and how it is solved. Answer in Markdown.';
export const askSystem = 'You answer a programmer’s question about source code. Be short and concrete.';
export const terminalSystem =
  'You explain output of a terminal to a programmer. Say what went wrong, why, and what to do next. Be short and concrete. Where nothing went wrong, say what the output means. Answer in Markdown.';
export const testsSystem =
  'You write unit tests. Answer with one complete test file in one fenced block, and nothing else.';

/** The problems as the model reads them, one a line. Lines count from `firstLine`, as the code is shown. */
export function listProblems(problems: readonly Problem[], firstLine: number): string {
  return problems
    .slice(0, mostProblems)
    .map(({ message, line, source }) => {
      const where = `line ${Math.max(1, line - firstLine + 1)}`;
      const what = message.replaceAll(/\s+/g, ' ').slice(0, longestMessage);
      return `- ${where}: ${what}${source === undefined ? '' : ` (${source})`}`;
    })
    .join('\n');
}

/** What an inline edit is told to do about problems. */
export function fixInstruction(problems: readonly Problem[], firstLine: number): string {
  const which = problems.length === 1 ? 'Fix this problem' : 'Fix these problems';
  return `${which}, with as small a change as possible:\n${listProblems(problems, firstLine)}`;
}

export const documentInstruction =
  'Write a documentation comment for this code, in the form that is usual for its language. Say what is not plain from the names. Do not change the code itself.';
export const testsBelowInstruction =
  'Keep this code as it is, and write tests for it below it, in the form that is usual for its language.';
export const moreTestsInstruction =
  'Keep these tests as they are, and add tests below them for cases that they leave out.';

/** `text` on one line of at most `length` characters. */
export function shortened(text: string, length: number): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length <= length ? line : `${line.slice(0, length - 1).trimEnd()}…`;
}
