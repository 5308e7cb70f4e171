import type { Driver } from './driver.js';
import { canStep, isInPrompt } from './job.js';
import type { RunningJob } from './job.js';
import { commonPrefix } from './kv/common-prefix.js';
import type { PrefixCache } from './kv/prefix-cache.js';
import type { PrefillPace } from './prefill-pace.js';
import type { Speculation } from './speculation.js';
import { inTurn, noteTurns } from './turns.js';

/** What a plan rests on. */
export interface StepPlannerOptions {
  readonly driver: Driver;
  readonly cache: PrefixCache;
  readonly pace: PrefillPace;
  readonly speculation: Speculation;
  /** Most tokens of a guess; 0: nothing is guessed. */
  readonly drafts: number;
}

/** A job's part in a step. */
export interface Planned {
  readonly job: RunningJob;
  readonly tokens: readonly number[];
  /** Whether the tokens are of the prompt. */
  readonly isPrompt: boolean;
  /** Most tokens that may be guessed behind them. */
  readonly room: number;
}

/** Fewer tokens in common are not worth waiting for. */
const leastShared = 32;

/** Says what the next step does. It moves begins of prompts between sequences, and evaluates nothing. */
export class StepPlanner {
  readonly #driver: Driver;
  readonly #cache: PrefixCache;
  readonly #pace: PrefillPace;
  readonly #speculation: Speculation;
  readonly #drafts: number;

  constructor({ driver, cache, pace, speculation, drafts }: StepPlannerOptions) {
    this.#driver = driver;
    this.#cache = cache;
    this.#pace = pace;
    this.#speculation = speculation;
    this.#drafts = drafts;
  }

  /**
   * What the next step does: all that decode, and pieces of prompts; those of interactive requests first, and among
   * equals the one that has waited longest.
   */
  plan(running: readonly RunningJob[]): readonly Planned[] {
    const able = running.filter(canStep);
    const decoding = able.filter((job) => !isInPrompt(job));
    const prompts = this.#promptsOf(able);
    let left = Math.max(0, this.#driver.abilities.stepTokens - decoding.length);
    // Beside prompts a step is long enough.
    const guesses = prompts.length === 0 && this.#drafts > 0 && this.#speculation.allows(decoding.length);
    const plan = decoding.map((job): Planned => {
      const room = guesses ? Math.min(this.#roomToGuess(job), left) : 0;
      left -= room;
      return { job, tokens: job.rest, isPrompt: false, room };
    });
    let budget = Math.min(this.#pace.budget(plan.length), left);
    const served = new Set<RunningJob>();
    for (const job of prompts) {
      if (budget === 0) break;
      const tokens = job.rest.slice(0, budget);
      budget -= tokens.length;
      plan.push({ job, tokens, isPrompt: true, room: 0 });
      served.add(job);
    }
    if (served.size > 0) noteTurns(prompts, served);
    return plan;
  }

  /**
   * Who has tokens of its prompt to evaluate in this step, in the order of their turns. Where two prompts begin alike, one
   * evaluates the begin and the other takes it over, at once where all of it is there: each copy has its price.
   */
  #promptsOf(able: readonly RunningJob[]): readonly RunningJob[] {
    const prompts: RunningJob[] = [];
    const candidates = inTurn(able.filter(isInPrompt));
    for (const job of candidates) {
      const isFirst = job.generated === 0;
      if (isFirst && candidates.some((other) => this.#waitsFor(job, other, prompts.includes(other))))
        continue;
      if (isFirst && job.sampler === undefined) this.#takeOver(job);
      prompts.push(job);
    }
    return prompts;
  }

  /** Whether `other` is about to evaluate what `job` begins with too. Of two of one class, the one that is ahead does. */
  #waitsFor(job: RunningJob, other: RunningJob, isServed: boolean): boolean {
    if (other === job || other.generated > 0 || other.scope !== job.scope) return false;
    if (!this.#driver.abilities.copies) return false;
    const isAhead = other.class === job.class && other.position > job.position;
    if (!isServed && !isAhead) return false;
    const common = commonPrefix(other.request.tokens, job.request.tokens);
    return common >= job.position + leastShared && other.position < common;
  }

  #takeOver(job: RunningJob): void {
    const { tokens } = job.request;
    const held = this.#cache.extend(job.sequence, tokens, job.position);
    if (held === job.position) return;
    job.cached += Math.max(0, held - job.position);
    job.position = held;
    job.rest = tokens.slice(held);
  }

  /** Most tokens that may be guessed for a job. None where what it makes may be taken back. */
  #roomToGuess(job: RunningJob): number {
    const { answer, tokens, sampling } = job.request;
    const isPlain =
      answer.constrained === undefined && answer.thinking === undefined && answer.tools === undefined;
    if (!isPlain) return 0;
    const left = Math.min(
      sampling.maxTokens - job.generated,
      this.#driver.info.contextSize - tokens.length - job.generated,
    );
    return Math.max(0, Math.min(this.#drafts, left - 1));
  }
}
