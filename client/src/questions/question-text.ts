import type { AskQuestion } from '@hearth/protocol';
import { showBytes } from '../models/model-items.js';

/** Longest text of another program that a message shows. */
const mostCharacters = 300;

/** What a person is asked, and what the answer that says yes is called. */
export interface QuestionText {
  readonly message: string;
  readonly yes: string;
  readonly no: string;
}

export function toolQuestion({ tool, summary }: AskQuestion<'approve_tool_call'>): QuestionText {
  const what = summary === undefined || summary.trim() === '' ? '' : `: ${plain(summary)}`;
  return {
    message: `A program on this machine asks to run “${plain(tool)}”${what}`,
    yes: 'Allow Once',
    no: 'Deny',
  };
}

export function downloadQuestion({ model, bytes }: AskQuestion<'confirm_download'>): QuestionText {
  const size = bytes === undefined ? '' : ` (about ${showBytes(bytes)})`;
  return {
    message: `A program asked Hearth for the model ${plain(model)}${size}, which is not on this machine. Fetch it?`,
    yes: 'Fetch',
    no: 'Not Now',
  };
}

/**
 * A text of another program as a message may show it: one line, of bounded length, with nothing that would become a
 * link, and nothing that turns the direction of the text.
 */
function plain(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}[\]()]+/gu, ' ').trim();
  const characters = Array.from(line);
  return characters.length <= mostCharacters ? line : `${characters.slice(0, mostCharacters).join('')}…`;
}
