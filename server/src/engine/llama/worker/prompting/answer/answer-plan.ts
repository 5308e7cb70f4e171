import type { Dialect } from './dialect.js';
import type { ThinkingMarks } from './thinking.js';

/** How the text of an answer is to be read, and what of it is constrained. */
export interface AnswerPlan {
  /** Undefined: the model does not think, and its marks are text. */
  readonly thinking: ThinkingPlan | undefined;
  /** Undefined: no tool may be called, and the marks of calls are text. */
  readonly tools: ToolPlan | undefined;
  /** From where on the grammar of the request holds; undefined: it has none. */
  readonly constrained: Constrained | undefined;
  /** Control tokens that belong to the text, with it. */
  readonly visible: ReadonlyMap<number, string>;
}

export interface ThinkingPlan extends ThinkingMarks {
  /** Whether the prompt ends within thinking. */
  readonly isOpen: boolean;
  /** Tokens after which thinking is ended; undefined: none. */
  readonly budget: number | undefined;
}

export interface ToolPlan {
  readonly dialect: Dialect;
  readonly names: ReadonlySet<string>;
  /** Whether the prompt ends with the opening of calls. */
  readonly isOpen: boolean;
}

/**
 * - `start`: from the first token of the answer
 * - `answer`: from the end of thinking on; `lead` is put there first
 * - `calls`: from the opening of calls on, if the model writes it
 */
export type Constrained =
  | { readonly from: 'start' }
  | { readonly from: 'answer'; readonly lead: string }
  | { readonly from: 'calls' };

/** An answer that is text and nothing else. */
export const plainAnswer: AnswerPlan = {
  thinking: undefined,
  tools: undefined,
  constrained: undefined,
  visible: new Map(),
};
