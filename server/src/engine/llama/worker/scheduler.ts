import type { ResolvedGeneration, StopReason, TokenLogprob } from '@hearth/protocol';
import type {
  Driver,
  PreparedRequest,
  SampledToken,
  Sampler,
  StepItem,
  StepOutcome,
  TokenChance,
} from './driver.js';
import { canStep, isInPrompt, resultOf } from './job.js';
import type { Job, RunningJob } from './job.js';
import { joinPieces } from './join-pieces.js';
import type { GenerationResult, Piece, PromptProgress, RequestFailure, StepGrammars } from './messages.js';
import { PrefixCache } from './kv/prefix-cache.js';
import type { States } from './kv/states.js';
import { MachineRoom } from './machine-room.js';
import { PrefillPace } from './prefill-pace.js';
import { AnswerReader } from './prompting/answer/answer-reader.js';
import { callIds } from './prompting/answer/call-id.js';
import { DraftPolicy } from './prompt-lookup.js';
import { RequestError, toRequestFailure } from './request-error.js';
import { Speculation } from './speculation.js';
import type { Guesses, GuessSource } from './speculation.js';
import { ThreadGovernor } from './thread-governor.js';
import { StepPlanner } from './step-planner.js';
import type { Planned } from './step-planner.js';
import { inTurn, noteTurns } from './turns.js';

/**
 * Runs all generations of one model. One loop owns all state: each round takes in new requests, ends aborted ones,
 * and makes one step, in which every running sequence decodes one token and prompts go on by a piece. So the sequences
 * stay in step and share their batches, and a long prompt slows the others by less than half. An abort ends the step
 * where the driver can, and otherwise waits for it.
 *
 * A sequence whose consumer has given no credit is left out of the step; its state stays where it is.
 */
export interface SchedulerEvents {
  /** Uses one credit. `tokens`: how many have been made so far. */
  chunk(id: number, piece: Piece | PromptProgress, tokens: number): void;
  done(id: number, result: GenerationResult): void;
  failed(id: number, failure: RequestFailure): void;
}

export interface SchedulerOptions {
  /** Most requests that wait for a sequence; more are refused. Default: 1024. */
  readonly mostWaiting?: number;
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number;
  /** Where states of sequences are saved. Default: nowhere. */
  readonly states?: readonly States[];
  /** Called when nothing is left to do. */
  readonly onIdle?: () => void;
  /**
   * Guesses tokens ahead where that pays: from what stands before, or with the driver's smaller model where it has one.
   * Default: `off`.
   */
  readonly drafts?: 'off' | 'lookup' | 'draft';
  /** Whether what sequences hold is saved as soon as there is nothing else to do. Default: false. */
  readonly keepsStates?: boolean;
}

/** A job's part in a step with what may follow. */
interface Guessed extends Planned {
  readonly draft: readonly number[];
}

/** Milliseconds of reading a prompt between two words of how far it is. */
const progressMs = 500;
/**
 * Longest usual time of a step, in milliseconds, that the thread of the event loop computes itself. Nothing is heard and
 * nothing said meanwhile; but a request that comes joins the next step at the earliest anyway.
 */
const longestInPlaceMs = 60;
/** In place of minus infinity, which JSON does not have. */
const leastLogprob = -9999;

export class Scheduler {
  readonly #driver: Driver;
  readonly #events: SchedulerEvents;
  readonly #pace: PrefillPace;
  readonly #mostWaiting: number;
  readonly #now: () => number;
  readonly #governor: ThreadGovernor;
  readonly #room = new MachineRoom();
  /** Accepted, its prompt not yet made; what has come for it meanwhile. */
  readonly #preparing = new Map<number, { credit: number; aborted: boolean }>();
  #waiting: Job[] = [];
  #running: RunningJob[] = [];
  readonly #cache: PrefixCache;
  readonly #planner: StepPlanner;
  readonly #keepsStates: boolean;
  readonly #onIdle: () => void;
  /** Most tokens of a guess; 0: nothing is guessed. */
  readonly #drafts: number;
  readonly #adaptsDrafts: boolean;
  readonly #speculation: Speculation;
  #loop: Promise<void> | undefined;
  /** How often something came, and how often it had when the round in progress began. */
  #kicks = 0;
  #heard = 0;
  #stepStarted: number | undefined;
  #stepJobs: readonly RunningJob[] = [];

  constructor(driver: Driver, events: SchedulerEvents, options: SchedulerOptions = {}) {
    this.#driver = driver;
    this.#events = events;
    this.#pace = new PrefillPace({ most: driver.abilities.promptTokens });
    this.#mostWaiting = options.mostWaiting ?? 1024;
    this.#now = options.now ?? (() => performance.now());
    const { mostThreads } = driver.abilities;
    const { threads, choice } = driver.info;
    this.#governor = new ThreadGovernor({ widest: mostThreads, first: threads, known: choice });
    this.#onIdle = options.onIdle ?? (() => undefined);
    const source = guessSourceOf(options.drafts ?? 'off', driver);
    this.#speculation = new Speculation(source);
    this.#drafts = source.kind === 'off' ? 0 : driver.abilities.draftTokens;
    this.#adaptsDrafts = source.kind === 'draft';
    this.#cache = new PrefixCache({ sequences: driver.sequences, states: options.states ?? [] });
    this.#keepsStates = options.keepsStates ?? false;
    this.#planner = new StepPlanner({
      driver,
      cache: this.#cache,
      pace: this.#pace,
      speculation: this.#speculation,
      drafts: this.#drafts,
    });
  }

  /** How long the native call in progress has taken, in milliseconds; 0 where none is. */
  get stepMs(): number {
    return this.#stepStarted === undefined ? 0 : this.#now() - this.#stepStarted;
  }

  /** What the native call in progress does with grammars. */
  get stepGrammars(): StepGrammars {
    const sampling = this.#stepJobs.filter(
      ({ sampler, request, isConstrained }) =>
        sampler !== undefined && isConstrained && request.grammar !== undefined,
    );
    if (sampling.length === 0) return 'none';
    return sampling.every(({ aborted }) => aborted) ? 'abandoned' : 'wanted';
  }

  /** Takes a request. Its outcome comes as exactly one `done` or `failed`. */
  async submit(id: number, request: ResolvedGeneration, credit: number): Promise<void> {
    const early = { credit, aborted: false };
    this.#preparing.set(id, early);
    try {
      if (this.#waiting.length >= this.#mostWaiting) {
        throw new RequestError('unavailable', 'Too many requests wait for this model. Try again later.');
      }
      const prepared = await this.#driver.prepare(request);
      this.#waiting.push(this.#makeJob(id, prepared, request, early));
      this.#kick();
    } catch (error) {
      this.#events.failed(id, toRequestFailure(error));
    } finally {
      this.#preparing.delete(id);
    }
  }

  /** Ends a generation within one micro-batch. It then ends with `done` and stop reason `cancelled`. */
  abort(id: number): void {
    const job = this.#find(id);
    if (job === undefined) return;
    job.aborted = true;
    // The others lose what the step has done so far, so a short one is let go to its end.
    const isInPrompt = this.#stepJobs.some((one) => one.id === id && one.generated === 0);
    if (isInPrompt || (this.#stepJobs.length > 0 && this.#stepJobs.every(({ aborted }) => aborted))) {
      this.#driver.interrupt();
    }
    this.#kick();
  }

  addCredit(id: number, amount: number): void {
    const job = this.#find(id);
    if (job === undefined) return;
    job.credit += amount;
    this.#kick();
  }

  /** Aborts everything; resolves when no native call is in progress. */
  async close(): Promise<void> {
    for (const job of [...this.#preparing.values(), ...this.#waiting, ...this.#running]) job.aborted = true;
    this.#driver.interrupt();
    this.#kick();
    await this.#loop;
  }

  #find(id: number): { credit: number; aborted: boolean } | undefined {
    const has = (job: Job): boolean => job.id === id;
    return this.#preparing.get(id) ?? this.#running.find(has) ?? this.#waiting.find(has);
  }

  #makeJob(
    id: number,
    request: PreparedRequest,
    { cacheScope: scope, class: jobClass }: ResolvedGeneration,
    early: { credit: number; aborted: boolean },
  ): Job {
    return {
      id,
      request,
      scope,
      class: jobClass,
      passed: 0,
      answer: new AnswerReader({
        plan: request.answer,
        stops: request.stopTexts,
        detokenize: (tokens, before) => this.#driver.detokenize(tokens, before),
        tokenize: request.tokenizeMarks,
        before: request.tokens,
        nextId: callIds(request.sampling.seed, request.tokens.length),
      }),
      credit: early.credit,
      aborted: early.aborted,
      generated: 0,
      prefillMs: 0,
      toldMs: 0,
      decodeMs: 0,
      cached: 0,
      logprobs: [],
      drafts: new DraftPolicy(this.#drafts, this.#adaptsDrafts),
      stopDetail: undefined,
    };
  }

  /** Starts the loop unless it runs. It ends by itself when no sequence can go on. */
  #kick(): void {
    this.#kicks += 1;
    this.#loop ??= this.#run().finally(() => {
      this.#loop = undefined;
      if (this.#kicks !== this.#heard) this.#kick();
    });
  }

  async #run(): Promise<void> {
    // A request that arrives in this turn of the event loop joins the first step.
    await new Promise(setImmediate);
    for (;;) {
      this.#heard = this.#kicks;
      await this.#endAborted();
      await this.#admit();
      await this.#redirect();
      const step = this.#planner.plan(this.#running);
      if (step.length === 0) {
        // What has come since this round began may have come too late for it.
        if (this.#kicks !== this.#heard) continue;
        if (this.#keepsStates) this.#cache.saveAll();
        if (this.#running.length === 0) this.#onIdle();
        return;
      }
      const wantsTurn = await this.#step(step);
      await this.#settle();
      // What was said goes out, and what has come is heard.
      if (wantsTurn) await new Promise(setImmediate);
    }
  }

  async #endAborted(): Promise<void> {
    for (const job of this.#waiting.filter(({ aborted }) => aborted)) {
      this.#events.done(job.id, resultOf(job, 'cancelled'));
    }
    this.#waiting = this.#waiting.filter(({ aborted }) => !aborted);
    for (const job of this.#running) {
      if (job.aborted) job.outcome ??= { kind: 'done', stopReason: 'cancelled' };
    }
    await this.#settle();
  }

  /** Gives free sequences to waiting requests: by class, and within one first come first served. */
  async #admit(): Promise<void> {
    while (this.#cache.hasFree) {
      const [job] = inTurn(this.#waiting);
      if (job === undefined) return;
      noteTurns(this.#waiting, new Set([job]));
      this.#waiting = this.#waiting.filter((one) => one !== job);
      const { tokens } = job.request;
      const { sequence, held } = await this.#cache.place(tokens, job.scope);
      this.#running.push(
        Object.assign(job, {
          sequence,
          position: held,
          rest: tokens.slice(held),
          cached: held,
          made: [],
          isConstrained: job.request.answer.constrained?.from === 'start',
          redirect: undefined,
          sampler: undefined,
          isPending: false,
          outcome: undefined,
        }),
      );
    }
  }

  /** Guesses what may follow in a step. */
  async #guess(plan: readonly Planned[]): Promise<{ plan: readonly Guessed[]; kind: Guesses['kind'] }> {
    const open = plan.filter(({ room }) => room > 0);
    if (open.length === 0) return { plan: plan.map((one) => ({ ...one, draft: [] })), kind: 'plain' };
    const { drafts, kind } = await this.#speculation.guess(
      open.map(({ job, room }) => ({
        sequence: job.sequence,
        tokens: () => [...job.request.tokens, ...job.made],
        policy: job.drafts,
        room,
      })),
    );
    return { plan: plan.map((one) => ({ ...one, draft: drafts[open.indexOf(one)] ?? [] })), kind };
  }

  /**
   * @returns whether the event loop is to have a turn before the next one: it was held up, or the first token of an answer
   *   may have been chosen, which is not to wait for a step that holds it up
   */
  async #step(planned: readonly Planned[]): Promise<boolean> {
    const started = this.#now();
    this.#stepStarted = started;
    this.#stepJobs = planned.map(({ job }) => job);
    const { plan, kind } = await this.#guess(planned);
    if (planned.every(({ job }) => job.aborted)) {
      this.#endStep();
      return false;
    }
    const items = plan.map(({ job, tokens, draft }): StepItem => {
      if (tokens.length === job.rest.length) job.sampler ??= this.#startSampling(job);
      const { sequence, sampler } = job;
      return { sequence, tokens, sampler, ...(draft.length === 0 ? {} : { draft }) };
    });
    // Threads are chosen by steps that follow one another without a prompt, not by the looks in between.
    const isTimed = kind === 'plain' && !this.#running.some((job) => canStep(job) && isInPrompt(job));
    const inPlaceMs = isTimed ? this.#inPlaceMs(plan.length) : undefined;
    const giveUp = this.#giveUpLater(isTimed && inPlaceMs === undefined ? plan.length : undefined);
    const outcomes = await this.#makeStep(items, inPlaceMs);
    giveUp.end();
    const wasGivenUp =
      inPlaceMs === undefined ? giveUp.isDue : outcomes.some((one) => one.kind === 'interrupted');
    this.#endStep();
    const ended = this.#now();
    const decoding = plan.filter(({ isPrompt }) => !isPrompt).length;
    for (const { job, isPrompt } of plan) {
      if (isPrompt) job.prefillMs += ended - started;
      else job.decodeMs += ended - started;
    }
    for (const [index, { job, tokens, draft }] of plan.entries()) {
      const outcome = outcomes[index];
      if (draft.length > 0 && outcome?.kind === 'sampled') {
        // After the guesses that were right comes a token of the model's own, but not where they end the text.
        const right = outcome.tokens.length - (outcome.ended ? 0 : 1);
        job.drafts.observe(draft.length, Math.max(0, right));
      }
      this.#settleStep(job, tokens, outcome);
    }
    const wasWhole = outcomes.every(({ kind }) => kind === 'sampled' || kind === 'evaluated');
    if (wasWhole && decoding === plan.length) {
      const tokens = outcomes.reduce((sum, one) => sum + (one.kind === 'sampled' ? one.tokens.length : 0), 0);
      // What a draft model needs to catch up is a part of its price.
      const drafted = kind !== 'plain';
      this.#speculation.observe({ width: decoding, drafted, tokens, milliseconds: ended - started });
    }
    // What guesses cost says nothing of threads.
    if (kind === 'plain' && wasWhole) this.#pace.observe(decoding, promptTokensOf(plan), ended - started);
    if (isTimed && (wasWhole || wasGivenUp)) this.#govern(decoding, ended - started, ended);
    return inPlaceMs !== undefined || decoding < plan.length;
  }

  /**
   * Where a step is short enough to be computed on this thread: the milliseconds after which it is to be given up, Infinity
   * where never.
   */
  #inPlaceMs(width: number): number | undefined {
    if (this.#driver.abilities.inPlace !== true) return undefined;
    const expected = this.#governor.expectedMs(width);
    if (expected === undefined || expected > longestInPlaceMs) return undefined;
    return this.#governor.giveUpAfter(width) ?? Infinity;
  }

  #endStep(): void {
    this.#stepStarted = undefined;
    this.#stepJobs = [];
  }

  /** Interrupts a step that takes too long at its width; it is made again with one thread. */
  #giveUpLater(width: number | undefined): { readonly isDue: boolean; end(): void } {
    const after = width === undefined ? undefined : this.#governor.giveUpAfter(width);
    const state = { isDue: false };
    if (after === undefined || !this.#driver.abilities.interrupts) return { ...state, end: () => undefined };
    const timer = setTimeout(() => {
      state.isDue = true;
      this.#driver.interrupt();
    }, after);
    return Object.assign(state, {
      end: () => {
        clearTimeout(timer);
      },
    });
  }

  /** Never rejects. */
  async #makeStep(
    items: readonly StepItem[],
    inPlaceMs: number | undefined,
  ): Promise<readonly StepOutcome[]> {
    try {
      return await this.#driver.step(items, inPlaceMs);
    } catch (error) {
      return items.map(() => ({ kind: 'failed', error }));
    }
  }

  #startSampling(job: RunningJob): Sampler | undefined {
    try {
      const { request, made, isConstrained } = job;
      return this.#driver.startSampling(job.sequence, {
        ...request,
        tokens: [...request.tokens, ...made],
        grammar: isConstrained ? request.grammar : undefined,
      });
    } catch (error) {
      job.outcome = { kind: 'failed', error };
      return undefined;
    }
  }

  #govern(decoding: number, milliseconds: number, now: number): void {
    const governor = this.#governor;
    const hasRoom = governor.widest > 1 ? this.#room.has(governor.widest, now) : undefined;
    this.#driver.setThreads(governor.observe({ width: decoding, milliseconds, now, hasRoom }));
  }

  #settleStep(job: RunningJob, tokens: readonly number[], outcome: StepOutcome | undefined): void {
    switch (outcome?.kind) {
      case 'evaluated':
        job.position += tokens.length;
        job.rest = job.rest.slice(tokens.length);
        if (job.prefillMs - job.toldMs >= progressMs) this.#tellRead(job);
        this.#toTheEnd(job);
        return;
      case 'sampled':
        // Of what is being written nothing may be seen for long: a call comes whole.
        if (job.generated === 0 && (job.toldMs > 0 || job.request.answer.tools !== undefined))
          this.#tellRead(job);
        job.position = job.sequence.tokens().length;
        this.#takeAll(job, outcome.tokens, outcome.ended);
        return;
      case 'pending':
        job.isPending = true;
        void outcome.outcome.then((late) => {
          job.isPending = false;
          if (job.outcome === undefined) this.#settleStep(job, tokens, late);
          // Also where it has ended: what it leaves behind may keep the engine busy.
          this.#kick();
        });
        return;
      case 'failed':
        job.outcome ??= { kind: 'failed', error: outcome.error };
        return;
      case 'interrupted':
      case undefined:
      // The same again, unless it was aborted.
    }
  }

  /** What there was already is no part of what is being read. The last credit is the answer's. */
  #tellRead(job: RunningJob): void {
    if (job.generated > 0 || job.credit <= 1) return;
    job.toldMs = job.prefillMs;
    job.credit -= 1;
    const all = job.request.tokens.length - job.cached;
    const progress = all === 0 ? 1 : Math.min(1, (job.sequence.tokens().length - job.cached) / all);
    this.#events.chunk(job.id, { kind: 'prefill', progress }, 0);
  }

  /** Other prompts come first next time. */
  #toTheEnd(job: RunningJob): void {
    this.#running = [...this.#running.filter((one) => one !== job), job];
  }

  /** Handles the tokens that a step has made. */
  #takeAll(job: RunningJob, tokens: readonly SampledToken[], ended: boolean): void {
    for (const { token, logprob } of tokens) {
      // What was made beyond a turning point is not wanted.
      if (job.outcome !== undefined || job.redirect !== undefined) return;
      if (logprob !== undefined) job.logprobs.push(this.#describe(logprob));
      this.#take(job, token);
      job.rest = [token];
    }
    if (ended && job.outcome === undefined && job.redirect === undefined) this.#take(job, undefined);
  }

  /** Handles the token that a step has made; undefined: the model has ended. */
  #take(job: RunningJob, token: number | undefined): void {
    if (job.aborted) return;
    try {
      if (token === undefined || job.request.stopTokens.has(token)) this.#end(job, [], 'end');
      else this.#read(job, token);
    } catch (error) {
      job.outcome = { kind: 'failed', error };
    }
  }

  #read(job: RunningJob, token: number): void {
    job.made.push(token);
    const { parts, stopped, redirect } = job.answer.push(token);
    job.generated = job.answer.tokens;
    const length = job.request.tokens.length + job.generated;
    const full = job.generated >= job.request.sampling.maxTokens || length >= this.#driver.info.contextSize;
    if (stopped) {
      this.#emit(job, parts);
      job.stopDetail = 'stop_sequence';
      job.outcome = { kind: 'done', stopReason: 'end' };
    } else if (full) {
      this.#end(job, parts, 'length');
    } else {
      this.#emit(job, parts);
      job.redirect = redirect;
    }
  }

  /** Gives the last parts together with what was held back and ends the job. */
  #end(job: RunningJob, parts: readonly Piece[], stopReason: StopReason): void {
    const last = job.answer.finish(stopReason !== 'end');
    this.#emit(job, [...parts, ...last.parts]);
    if (last.stopped) job.stopDetail = 'stop_sequence';
    else if (stopReason === 'end' && job.answer.hasCalled) job.stopDetail = 'tool_use';
    job.outcome = { kind: 'done', stopReason: last.stopped ? 'end' : stopReason };
  }

  #emit(job: RunningJob, parts: readonly Piece[]): void {
    for (const piece of joinPieces(parts)) {
      job.credit -= 1;
      // Only text has them.
      const logprobs = job.logprobs.splice(0);
      const has = piece.kind === 'token' && logprobs.length > 0;
      this.#events.chunk(job.id, has ? { ...piece, logprobs } : piece, job.generated);
    }
  }

  #describe({ alternatives, ...chosen }: NonNullable<SampledToken['logprob']>): TokenLogprob {
    const withText = ({ token, logprob }: TokenChance) => ({
      token,
      text: this.#driver.detokenize([token], []),
      logprob: Number.isFinite(logprob) ? logprob : leastLogprob,
    });
    return { ...withText(chosen), alternatives: alternatives.map(withText) };
  }

  /** Lets answers go on where and how their readers want it. */
  async #redirect(): Promise<void> {
    for (const job of this.#running) {
      const { redirect, request } = job;
      if (redirect === undefined || job.outcome !== undefined) continue;
      job.redirect = undefined;
      job.logprobs = [];
      job.isConstrained = redirect.constrained;
      job.made = [...job.made.slice(0, redirect.keep), ...redirect.then];
      const all = [...request.tokens, ...job.made];
      try {
        await job.sampler?.end();
        job.sampler = undefined;
        await job.sequence.truncate(Math.min(request.tokens.length + redirect.keep, all.length - 1));
        job.position = job.sequence.tokens().length;
        job.rest = all.slice(job.position);
      } catch (error) {
        job.outcome = { kind: 'failed', error };
      }
    }
  }

  /** Takes out the jobs that have ended. Their sequences are free before anyone hears of it. */
  async #settle(): Promise<void> {
    const ended = this.#running.filter(({ outcome }) => outcome !== undefined);
    if (ended.length === 0) return;
    this.#running = this.#running.filter(({ outcome }) => outcome === undefined);
    for (const job of ended) {
      const failed = job.outcome?.kind === 'failed';
      await job.sampler?.end().catch(() => undefined);
      if (failed) {
        await job.sequence.reset().catch(() => undefined);
        this.#cache.forget(job.sequence);
      }
      this.#cache.release(job.sequence);
      if (job.outcome?.kind === 'done') this.#events.done(job.id, resultOf(job, job.outcome.stopReason));
      else this.#events.failed(job.id, toRequestFailure(job.outcome?.error));
    }
  }
}

function guessSourceOf(drafts: NonNullable<SchedulerOptions['drafts']>, { drafter }: Driver): GuessSource {
  if (drafts !== 'draft') return { kind: drafts };
  return drafter === undefined ? { kind: 'off' } : { kind: 'draft', drafter };
}

function promptTokensOf(plan: readonly Planned[]): number {
  return plan.reduce((sum, { tokens, isPrompt }) => sum + (isPrompt ? tokens.length : 0), 0);
}
