import { window } from 'vscode';
import { readyModel } from '../sidecar/ready-model.js';
import type { Sidecar } from '../sidecar/sidecar.js';
import { answerInDocument } from './answer-document.js';

/** Most tokens of one answer; never more than half of the model's context. */
const longestAnswer = 1024;

/**
 * Asks the model and streams its answer into a new document beside the editor.
 *
 * @param given The question where the caller has one; else the person is asked.
 */
export async function ask(sidecar: Sidecar, given?: string): Promise<void> {
  const model = readyModel(sidecar);
  const question =
    given ??
    (await window.showInputBox({
      title: `Ask ${model.displayName}`,
      prompt: 'Your question stays on this machine.',
    }));
  if (question === undefined || question.trim() === '') return;
  // Asked of the model that is there now: a sidecar may have come and gone meanwhile.
  await answerInDocument(sidecar, {
    asked: question,
    messages: [{ role: 'user', content: question }],
    max_tokens: Math.min(longestAnswer, Math.floor(readyModel(sidecar).contextSize / 2)),
    client: 'ask',
  });
}
