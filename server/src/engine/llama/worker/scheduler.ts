import type { ResolvedGeneration, StopReason } from '@hearth/protocol';
import type { Decoder, Driver, PreparedRequest, Sequence } from './driver.js';
import type { GenerationResult, Piece, RequestFailure, StepGrammars } from './messages.js';
import { RequestError, toRequestFailure } from './request-error.js';
import { StopFilter } from './stop-filter.js';
import { TextAssembler } from './text-assembler.js';
import { ThreadGovernor } from './thread-governor.js';

/**
 * Runs all generations of one model. One loop owns all state: each round takes in new requests, ends aborted ones,
 * and makes one step, in which every running sequence decodes one token and at most one prompt goes on by one
 * micro-batch. So the sequences stay in step and share their batches, a long prompt holds nobody up for more than
 * one micro-batch, and an abort waits for no more than that.
 *
 * A sequence whose consumer has given no credit is left out of the step; its state stays where it is.
 */
export interface SchedulerEvents {
  /** Uses one credit. */
  chunk(id: number, piece: Piece): void;
  done(id: number, result: GenerationResult): void;
  failed(id: number, failure: RequestFailure): void;
}

export interface SchedulerOptions {
  /** Prompt tokens in a micro-batch. Default: 64. */
  readonly prefillTokens?: number;
  /** Most requests that wait for a sequence; more are refused. Default: 1024. */
  readonly mostWaiting?: number;
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number;
}

interface Job {
  readonly id: number;
  readonly request: PreparedRequest;
  readonly filter: StopFilter;
  readonly text: TextAssembler;
  credit: number;
  aborted: boolean;
  generated: number;
  decodeMs: number;
}

interface RunningJob extends Job {
  readonly sequence: Sequence;
  /** Prompt tokens that have been evaluated. */
  position: number;
  /** Present once the end of the prompt is being, or has been, evaluated. */
  decoder: Decoder | undefined;
  /** Set once the generation has ended, until it is taken out of the round. */
  outcome: Outcome | undefined;
}

type Outcome =
  | { readonly kind: 'done'; readonly stopReason: StopReason }
  | { readonly kind: 'failed'; readonly error: unknown };

export class Scheduler {
  readonly #driver: Driver;
  readonly #events: SchedulerEvents;
  readonly #prefillTokens: number;
  readonly #mostWaiting: number;
  readonly #now: () => number;
  readonly #governor: ThreadGovernor;
  /** Accepted, its prompt not yet made; what has come for it meanwhile. */
  readonly #preparing = new Map<number, { credit: number; aborted: boolean }>();
  #waiting: Job[] = [];
  #running: RunningJob[] = [];
  /** Least recently used first. */
  #free: Sequence[];
  #loop: Promise<void> | undefined;
  #stepStarted: number | undefined;
  #stepJobs: readonly RunningJob[] = [];
  #width = 0;

  constructor(driver: Driver, events: SchedulerEvents, options: SchedulerOptions = {}) {
    this.#driver = driver;
    this.#events = events;
    this.#prefillTokens = options.prefillTokens ?? 64;
    this.#mostWaiting = options.mostWaiting ?? 1024;
    this.#now = options.now ?? (() => performance.now());
    this.#governor = new ThreadGovernor({ widest: driver.info.threads });
    this.#free = [...driver.sequences];
  }

  /** How long the native call in progress has taken, in milliseconds; 0 where none is. */
  get stepMs(): number {
    return this.#stepStarted === undefined ? 0 : this.#now() - this.#stepStarted;
  }

  /** What the native call in progress does with grammars. */
  get stepGrammars(): StepGrammars {
    const sampling = this.#stepJobs.filter(
      ({ decoder, request }) => decoder !== undefined && request.grammar !== undefined,
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
      this.#waiting.push(this.#makeJob(id, prepared, early));
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
    this.#kick();
    await this.#loop;
  }

  #find(id: number): { credit: number; aborted: boolean } | undefined {
    const has = (job: Job): boolean => job.id === id;
    return this.#preparing.get(id) ?? this.#running.find(has) ?? this.#waiting.find(has);
  }

  #makeJob(id: number, request: PreparedRequest, early: { credit: number; aborted: boolean }): Job {
    return {
      id,
      request,
      filter: new StopFilter(request.stopTexts),
      text: new TextAssembler((tokens, before) => this.#driver.detokenize(tokens, before), request.tokens),
      credit: early.credit,
      aborted: early.aborted,
      generated: 0,
      decodeMs: 0,
    };
  }

  /** Starts the loop unless it runs. It ends by itself when no sequence can go on. */
  #kick(): void {
    this.#loop ??= this.#run().finally(() => {
      this.#loop = undefined;
    });
  }

  async #run(): Promise<void> {
    // A request that arrives in this turn of the event loop joins the first step.
    await new Promise(setImmediate);
    for (;;) {
      await this.#endAborted();
      await this.#admit();
      const step = this.#plan();
      if (step.length === 0) return;
      await this.#step(step);
      await this.#settle();
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

  /** Gives free sequences to waiting requests, first come first served. */
  async #admit(): Promise<void> {
    while (this.#free.length > 0) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      const { sequence, shared } = this.#chooseSequence(job.request.tokens);
      const running: RunningJob = Object.assign(job, {
        sequence,
        position: shared,
        decoder: undefined,
        outcome: undefined,
      });
      this.#running.push(running);
      await sequence.truncate(shared).catch((error: unknown) => {
        running.outcome = { kind: 'failed', error };
      });
    }
  }

  /**
   * The free sequence that holds the longest beginning of the prompt, and how much of it. The last token of a
   * prompt is always evaluated again, since its outcome was not kept.
   */
  #chooseSequence(prompt: readonly number[]): { sequence: Sequence; shared: number } {
    let best: { sequence: Sequence; shared: number } | undefined;
    for (const sequence of this.#free) {
      const shared = Math.min(commonPrefix(sequence.tokens(), prompt), prompt.length - 1);
      if (best === undefined || shared > best.shared) best = { sequence, shared };
    }
    if (best === undefined) throw new Error('no sequence is free');
    const { sequence } = best;
    this.#free = this.#free.filter((one) => one !== sequence);
    return best;
  }

  /** Who takes part in the next step: all that decode, and the prompt that has waited longest for its turn. */
  #plan(): readonly RunningJob[] {
    const able = this.#running.filter(({ outcome, credit }) => outcome === undefined && credit > 0);
    const decoding = able.filter(({ generated }) => generated > 0);
    const prompt = able.find(({ generated }) => generated === 0);
    return prompt === undefined ? decoding : [...decoding, prompt];
  }

  async #step(jobs: readonly RunningJob[]): Promise<void> {
    const started = this.#now();
    this.#stepStarted = started;
    this.#stepJobs = jobs;
    // Calls made in one turn of the event loop share one batch.
    await Promise.all(jobs.map((job) => this.#advance(job)));
    this.#stepStarted = undefined;
    this.#stepJobs = [];
    const ended = this.#now();
    const decoding = jobs.filter(({ generated }) => generated > 1);
    for (const job of decoding) job.decodeMs += ended - started;
    if (decoding.length !== jobs.length) return;
    if (decoding.length !== this.#width) this.#governor.reset();
    this.#width = decoding.length;
    this.#driver.setThreads(this.#governor.observe(ended - started, ended));
  }

  async #advance(job: RunningJob): Promise<void> {
    try {
      const { tokens, sampling, grammar } = job.request;
      const rest = tokens.length - job.position;
      if (job.decoder === undefined && rest > this.#prefillTokens) {
        const next = job.position + this.#prefillTokens;
        await job.sequence.prefill(tokens.slice(job.position, next));
        job.position = next;
        this.#toTheEnd(job);
        return;
      }
      job.decoder ??= job.sequence.decode(tokens.slice(job.position), sampling, grammar);
      this.#take(job, await job.decoder.next());
    } catch (error) {
      job.outcome = { kind: 'failed', error };
    }
  }

  /** Other prompts come first next time. */
  #toTheEnd(job: RunningJob): void {
    this.#running = [...this.#running.filter((one) => one !== job), job];
  }

  /** Handles the token that a step has made; undefined: the model has ended. */
  #take(job: RunningJob, token: number | undefined): void {
    if (job.aborted) return;
    if (token === undefined || job.request.stopTokens.has(token)) {
      this.#end(job, '', 'end');
      return;
    }
    job.generated += 1;
    const { text, stopped } = job.filter.push(job.text.push(token));
    const length = job.request.tokens.length + job.generated;
    const full = job.generated >= job.request.sampling.maxTokens || length >= this.#driver.info.contextSize;
    if (stopped) {
      this.#emit(job, text);
      job.outcome = { kind: 'done', stopReason: 'end' };
    } else if (full) {
      this.#end(job, text, 'length');
    } else {
      this.#emit(job, text);
    }
  }

  /** Gives the last text together with what was held back, as one chunk, and ends the job. */
  #end(job: RunningJob, text: string, stopReason: StopReason): void {
    const last = job.filter.push(job.text.finish());
    this.#emit(job, text + last.text + (last.stopped ? '' : job.filter.finish()));
    job.outcome = { kind: 'done', stopReason: last.stopped ? 'end' : stopReason };
  }

  #emit(job: RunningJob, text: string): void {
    if (text === '') return;
    job.credit -= 1;
    this.#events.chunk(job.id, { kind: 'token', text });
  }

  /** Takes out the jobs that have ended. Their sequences are free before anyone hears of it. */
  async #settle(): Promise<void> {
    const ended = this.#running.filter(({ outcome }) => outcome !== undefined);
    if (ended.length === 0) return;
    this.#running = this.#running.filter(({ outcome }) => outcome === undefined);
    for (const job of ended) {
      const failed = job.outcome?.kind === 'failed';
      await (failed ? job.sequence.reset() : job.decoder?.end())?.catch(() => undefined);
      this.#free.push(job.sequence);
      if (job.outcome?.kind === 'done') this.#events.done(job.id, resultOf(job, job.outcome.stopReason));
      else this.#events.failed(job.id, toRequestFailure(job.outcome?.error));
    }
  }
}

function resultOf(job: Job, stopReason: StopReason): GenerationResult {
  return {
    stopReason,
    usage: { prompt_tokens: job.request.tokens.length, completion_tokens: job.generated },
    decode: { tokens: Math.max(0, job.generated - 1), milliseconds: job.decodeMs },
  };
}

function commonPrefix(one: readonly number[], other: readonly number[]): number {
  const length = Math.min(one.length, other.length);
  for (let index = 0; index < length; index += 1) if (one[index] !== other[index]) return index;
  return length;
}
