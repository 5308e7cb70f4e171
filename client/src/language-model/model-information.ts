import type { ModelInfo } from '@hearth/protocol';

/** What VS Code's chat is told of a model: the context that it really runs with, never what it could have. */
export interface ModelBudget {
  readonly maxInputTokens: number;
  readonly maxOutputTokens: number;
}

/** Most tokens kept free for an answer. */
const longestAnswer = 4096;

/** A quarter of the context is kept free for the answer, 4096 tokens at most; the rest may be prompt. */
export function modelBudget({ contextSize }: Pick<ModelInfo, 'contextSize'>): ModelBudget {
  const maxOutputTokens = Math.min(longestAnswer, Math.floor(contextSize / 4));
  return { maxInputTokens: contextSize - maxOutputTokens, maxOutputTokens };
}
