import { asks, type AskKind } from '@hearth/protocol';
import { window } from 'vscode';
import { downloadQuestion, toolQuestion, type QuestionText } from './question-text.js';

/** The kinds of questions that a window answers. Lines of a document it gives to nobody. */
export const answeredKinds = ['approve_tool_call', 'confirm_download'] as const satisfies readonly AskKind[];

/** Asks the person what the daemon, or another program through it, wants to know. No answer is a no. */
export async function askPerson(kind: AskKind, question: unknown): Promise<{ readonly approved: boolean }> {
  const text = describe(kind, question);
  if (text === undefined) return { approved: false };
  const { message, yes, no } = text;
  return { approved: (await window.showWarningMessage(message, yes, no)) === yes };
}

function describe(kind: AskKind, question: unknown): QuestionText | undefined {
  switch (kind) {
    case 'approve_tool_call': {
      const checked = asks.approve_tool_call.question.safeParse(question);
      return checked.success ? toolQuestion(checked.data) : undefined;
    }
    case 'confirm_download': {
      const checked = asks.confirm_download.question.safeParse(question);
      return checked.success ? downloadQuestion(checked.data) : undefined;
    }
    case 'file_range':
      return undefined;
  }
}
