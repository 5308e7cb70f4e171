import type { ModelInfo } from '@hearth/protocol';

/** The head of the document that an answer is streamed into, as Markdown. */
export function askHead(question: string, model: ModelInfo): string {
  const quoted = question
    .split(/\r?\n/)
    .map((line) => `> ${line}`)
    .join('\n');
  return [quoted, ...cautionLine(model), ''].join('\n\n');
}

/** Says what the model is, where someone would expect an assistant, and how to get a better one. */
function cautionLine({ displayName, caution }: ModelInfo): readonly string[] {
  if (caution === undefined) return [];
  return [
    `*${displayName}: ${caution} The command “Hearth: Use the Best Model for This Machine” replaces it.*`,
  ];
}

/** What an answer ends with. */
export function askFoot(outcome: 'done' | 'cancelled' | 'empty'): string {
  switch (outcome) {
    case 'done':
      return '\n';
    case 'cancelled':
      return '\n\n*Stopped.*\n';
    case 'empty':
      return '*The model had nothing to say.*\n';
  }
}
