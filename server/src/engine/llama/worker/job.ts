import type { StopReason, TokenLogprob } from '@hearth/protocol';
import type { PreparedRequest, Sampler, Sequence } from './driver.js';
import type { Scope } from './kv/states.js';
import type { GenerationResult } from './messages.js';
import type { AnswerReader, Redirect } from './prompting/answer/answer-reader.js';
import type { DraftPolicy } from './prompt-lookup.js';
import type { Turned } from './turns.js';

/** A generation as the scheduler holds it: while it waits, and while it has a sequence. */
export interface Job extends Turned {
  readonly id: number;
  readonly request: PreparedRequest;
  /** Whose states it may use. */
  readonly scope: Scope;
  readonly answer: AnswerReader;
  credit: number;
  aborted: boolean;
  generated: number;
  prefillMs: number;
  /** What {@link prefillMs} was when its consumer was last told how far the prompt is. */
  toldMs: number;
  decodeMs: number;
  /** Tokens of the prompt that were there already. */
  cached: number;
  /** Of the tokens that no piece has been made of yet. */
  logprobs: TokenLogprob[];
  readonly drafts: DraftPolicy;
  stopDetail: GenerationResult['stopDetail'];
}

/** With a sequence. */
export interface RunningJob extends Job {
  readonly sequence: Sequence;
  /** Tokens that have been evaluated, of the prompt and then of the answer. */
  position: number;
  /** Tokens of the answer, those that were put into it included. */
  made: number[];
  /** Whether the request's grammar holds, if it has one. */
  isConstrained: boolean;
  /** How the answer is to go on before the next step. */
  redirect: Redirect | undefined;
  /** What is to be evaluated next: the rest of the prompt, then the last token of the answer. */
  rest: readonly number[];
  /** Present once the end of the prompt is being, or has been, evaluated. */
  sampler: Sampler | undefined;
  /** A token is still being chosen; it takes part in no step until then. */
  isPending: boolean;
  /** Set once the generation has ended, until it is taken out of the round. */
  outcome: Outcome | undefined;
}

/** How a generation ended. */
export type Outcome =
  | { readonly kind: 'done'; readonly stopReason: StopReason }
  | { readonly kind: 'failed'; readonly error: unknown };

/** What is told of a generation at its end. */
export function resultOf(job: Job, stopReason: StopReason): GenerationResult {
  return {
    stopReason,
    usage: {
      prompt_tokens: job.request.tokens.length,
      completion_tokens: job.generated,
      cached_tokens: job.cached,
    },
    ...(job.stopDetail === undefined || stopReason !== 'end' ? {} : { stopDetail: job.stopDetail }),
    prefillMs: job.prefillMs,
    ...(job.drafts.totals.tokens === 0 ? {} : { draft: { ...job.drafts.totals } }),
    decode: { tokens: Math.max(0, job.generated - 1), milliseconds: job.decodeMs },
  };
}

/** Whether a step may do something for it. */
export function canStep({ outcome, credit, isPending }: RunningJob): boolean {
  return outcome === undefined && credit > 0 && !isPending;
}

/** Whether a job has more to evaluate than its last token. */
export function isInPrompt({ generated, rest }: RunningJob): boolean {
  return generated === 0 || rest.length > 1;
}
