/** What a model writes around its thinking. */
export interface ThinkingMarks {
  readonly opening: string;
  readonly closing: string;
}

const families: readonly ThinkingMarks[] = [
  { opening: '<think>', closing: '</think>' },
  { opening: '[THINK]', closing: '[/THINK]' },
  { opening: '<thinking>', closing: '</thinking>' },
  { opening: '<seed:think>', closing: '</seed:think>' },
];

/** The marks that a template knows; undefined: its model does not think. */
export function thinkingMarksOf(template: string): ThinkingMarks | undefined {
  return families.find(({ opening, closing }) => template.includes(closing) || template.includes(opening));
}

/** What is written when the model has thought enough, and the line breaks that models are used to. */
export function closeThinking({ closing }: ThinkingMarks): string {
  return `\n${closing}\n\n`;
}
