import type { HearthError } from '@hearth/protocol';
import type { TrustedFile } from '../../models/trust/trusted-file.js';
import type { EngineFailure } from '../engine.js';
import type { ChosenDevice } from './device-choice.js';
import type { HangWatch } from './hang-watch.js';
import type { ReplyQueue } from './reply-queue.js';
import type {
  GenerationResult,
  Piece,
  PromptProgress,
  QuestionAnswer,
  StepGrammars,
} from './worker/messages.js';
import type { WorkerProcess } from './worker-process.js';

/** What a worker says to one request. */
export type Reply =
  | { readonly kind: 'chunk'; readonly piece: Piece | PromptProgress; readonly tokens: number }
  | { readonly kind: 'done'; readonly result: GenerationResult }
  | { readonly kind: 'counted'; readonly counts: readonly number[] }
  | { readonly kind: 'answered'; readonly answer: QuestionAnswer }
  | { readonly kind: 'failed'; readonly error: EngineFailure };

/** A worker and what is known of it. Gone with the worker. */
export interface Incarnation {
  readonly worker: WorkerProcess;
  readonly watch: HangWatch;
  /** What computes there, and the layers that a card takes. */
  readonly device: ChosenDevice;
  readonly gpuLayers: number;
  /** The file that it loads; given back when it has. */
  readonly file: TrustedFile;
  /** The same of the model that guesses ahead, or why there is none. */
  readonly draft: TrustedFile | { readonly problem: string } | undefined;
  readonly pending: Map<number, ReplyQueue<Reply>>;
  hung: boolean;
  /** It hung in a step that sampled with a client's grammar: that says nothing of the engine. */
  byGrammar: boolean;

  /**
   * `said`: it still works on what a request left behind, and is to be ended once nobody waits for it; `ended`: it was, or
   * it holds what it should not, and nobody lost anything.
   */
  spent: 'no' | 'said' | 'ended';
  /** When it became ready, in milliseconds of a monotonic clock. */
  readyAt: number | undefined;
  /** Why the model cannot be served, said by the worker itself. */
  fatal: HearthError | undefined;
}

/** Gives back what was opened of it. */
export async function closeDraft(draft: Incarnation['draft']): Promise<void> {
  if (draft !== undefined && !('problem' in draft)) await draft.close();
}

/** A native call that takes longer will not come back. One micro-batch of the largest model takes seconds. */
const longestStepMs = 120_000;
/** A step that samples with a grammar takes milliseconds more than one without; a prompt's micro-batch is none. */
const longestGrammarStepMs = 20_000;
/** The same where nobody waits for what the grammar gives: the others are worth more than its sequence. */
const longestAbandonedStepMs = 5000;
/** How long a step may take, in milliseconds, by whose grammars it samples with. */
export const longestStepOf: Readonly<Record<StepGrammars, number>> = {
  none: longestStepMs,
  wanted: longestGrammarStepMs,
  abandoned: longestAbandonedStepMs,
};
