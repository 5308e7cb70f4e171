import { EventEmitter } from 'node:events';
import { HearthError, toHearthError } from '@hearth/protocol';
import type { BackendState, ErrorCode, LoadPhase, ModelInfo, ResolvedGeneration } from '@hearth/protocol';
import { type GpuKind, kindNames } from '../../accelerators/kinds.js';
import type { GgufFacts } from '../../models/gguf-check.js';
import { ChecksumError } from '../../models/trust/quarantine.js';
import { openTrustedFile, type TrustedFile } from '../../models/trust/trusted-file.js';
import { type Restart, RestartPolicy, defaultRestartOptions } from '../../supervisor/restart-policy.js';
import { generatorCapabilities } from '../encoding.js';
import type { EmbedInput, Embeddings, EngineCapabilities, Rendered, Scores } from '../encoding.js';
import { cannot, EngineFailure } from '../engine.js';
import type { Engine, EngineChunk, EngineEvents } from '../engine.js';
import { toUnitVector } from '../unit-vector.js';
import { afterCardDeath, type CardDeaths, isCardLost } from './card-deaths.js';
import { capabilitiesFor, modelInfoOf } from './describe-model.js';
import type { ChosenDevice } from './device-choice.js';
import { DraftModel } from './draft-model.js';
import type { LlamaEngineOptions, LoadPlan } from './engine-options.js';
import { findWorker } from './find-worker.js';
import { HangWatch } from './hang-watch.js';
import { closeDraft, type Incarnation, longestStepOf, type Reply } from './incarnation.js';
import { chooseContextSize, orderLoad, recallThreads, rememberThreads, settleDevice } from './load-order.js';
import { cancelled, chunksOf, endOf, expectKind, toEngineFailure, withSeed, wrongAnswer } from './replies.js';
import { ReplyQueue } from './reply-queue.js';
import { resuming, type CountedChunk } from './resuming.js';
import { slicesOf } from './slices.js';
import { SpeedMeter } from './speed-meter.js';
import { taskPrompt } from './task-prompts.js';
import { classifyDeath, findAssertion } from './worker-death.js';
import type { WorkerExit } from './worker-death.js';
import { WorkerProcess, defaultStopTimes } from './worker-process.js';
import type { FromWorker, LoadedInfo, Question, QuestionAnswer, ThreadChoice } from './worker/messages.js';

export type { LlamaEngineOptions, LoadPlan } from './engine-options.js';

/** Chunks that the worker may send before any is consumed. */
const creditWindow = 8;
/** Chunks after whose consumption credit is given back: half the window, so that the worker never has to wait. */
const creditBatch = creditWindow / 2;
/** Times the hang timeout that a load may go without an answer: reading a large header keeps the worker busy. */
const loadPatience = 6;
/** Progress of a load is told in steps of this size. */
const progressStep = 0.05;

/**
 * llama.cpp behind the Engine port: a worker process of its own for one model. When the worker dies, its own
 * generations fail with a typed error and it is started again, with growing pauses and within a budget. A model that
 * cannot be loaded is not tried again.
 */
export class LlamaEngine implements Engine {
  readonly name: string;
  readonly events = new EventEmitter<EngineEvents>();
  readonly #options: LlamaEngineOptions;
  readonly #speed = new SpeedMeter();
  readonly #draft: DraftModel;
  /** Aborted by {@link stop}. */
  readonly #stopping = new AbortController();
  #state: BackendState = { kind: 'starting' };
  #started = false;
  /** Whether a worker has ever got ready with this model. */
  #hasLoaded = false;
  #model: ModelInfo | undefined;
  #capabilities: EngineCapabilities = generatorCapabilities;
  #facts: GgufFacts | undefined;
  #current: Incarnation | undefined;
  #policy: RestartPolicy;
  #restartTimer: NodeJS.Timeout | undefined;
  #loading: Promise<void> = Promise.resolve();
  #lastId = 0;
  /** Held from the begin of a load until its worker is gone. */
  #claim: { release(): void } | undefined;
  /** Why no card is used any more: a load on one failed, or the engine died there again and again. */
  #gpuProblem: string | undefined;
  #cardDeaths: CardDeaths = [];

  constructor(options: LlamaEngineOptions) {
    this.#options = options;
    this.#draft = new DraftModel(options);
    this.name = options.name ?? 'llama';
    this.#policy = this.#freshPolicy();
  }

  get accelerator(): Engine['accelerator'] {
    return this.#current?.device.kind ?? 'cpu';
  }

  get gpuLayers(): number {
    return this.#current?.gpuLayers ?? 0;
  }

  get device(): Engine['device'] {
    const { device } = this.#current ?? {};
    return device === undefined || device.kind === 'cpu' ? undefined : device;
  }

  get state(): BackendState {
    return this.#state;
  }

  get capabilities(): EngineCapabilities {
    return this.#capabilities;
  }

  get model(): ModelInfo | undefined {
    return this.#model;
  }

  get workerPid(): number | undefined {
    return this.#current?.worker.pid;
  }

  get tokensPerSecond(): number | undefined {
    return this.#speed.tokensPerSecond;
  }

  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#loading = this.#load();
  }

  generate(request: ResolvedGeneration, signal: AbortSignal): AsyncGenerator<EngineChunk, void, void> {
    if (request.resume !== true) return chunksOf(this.#generateOnce(request, signal));
    const seeded = withSeed(request);
    return resuming(
      {
        generate: () => this.#generateOnce(seeded, signal),
        isDeath: (error) => error instanceof EngineFailure && error.kind === 'crashed',
        untilReady: (until) => this.#untilReady(until),
      },
      signal,
    );
  }

  /** False where no worker will be ready any more, or `signal` is aborted first. */
  async #untilReady(signal: AbortSignal): Promise<boolean> {
    const ends: ReadonlySet<BackendState['kind']> = new Set(['ready', 'failed', 'stopped']);
    await new Promise<void>((resolve) => {
      const listen = (): void => {
        if (!signal.aborted && !ends.has(this.#state.kind)) return;
        this.events.off('state', listen);
        signal.removeEventListener('abort', listen);
        resolve();
      };
      this.events.on('state', listen);
      signal.addEventListener('abort', listen);
      listen();
    });
    return this.#state.kind === 'ready' && !signal.aborted;
  }

  async *#generateOnce(
    request: ResolvedGeneration,
    signal: AbortSignal,
  ): AsyncGenerator<CountedChunk, void, void> {
    if (signal.aborted) {
      yield { chunk: cancelled, tokens: 0 };
      return;
    }
    if (!this.#capabilities.generate) throw cannot('generate');
    const incarnation = this.#requireReady();
    const { worker, pending } = incarnation;
    const { id, replies } = this.#open(incarnation);
    const isAborted = (): boolean => signal.aborted;
    const abort = (): void => {
      worker.send({ kind: 'abort', id });
      replies.discard(({ kind }) => kind !== 'chunk');
    };
    signal.addEventListener('abort', abort, { once: true });
    worker.send({ kind: 'generate', id, request, credit: creditWindow });
    let consumed = 0;
    try {
      for (;;) {
        const reply = await replies.next();
        if (reply.kind === 'chunk') {
          if (isAborted()) continue;
          yield { chunk: reply.piece, tokens: reply.tokens };
          consumed += 1;
          if (consumed % creditBatch === 0) worker.send({ kind: 'credit', id, amount: creditBatch });
          continue;
        }
        pending.delete(id);
        if (reply.kind === 'done') {
          this.#speed.add(reply.result.decode);
          yield { chunk: endOf(reply.result, isAborted()), tokens: reply.result.usage.completion_tokens };
        } else if (isAborted()) {
          yield { chunk: cancelled, tokens: 0 };
        } else if (reply.kind === 'failed') {
          throw reply.error;
        }
        return;
      }
    } finally {
      signal.removeEventListener('abort', abort);
      if (pending.has(id)) {
        // The consumer left early. Its sequence is free once the worker says so.
        abort();
        while ((await replies.next()).kind === 'chunk');
        pending.delete(id);
      }
      this.#watchWork(incarnation);
    }
  }

  async countTokens(texts: readonly string[]): Promise<readonly number[]> {
    const incarnation = this.#requireReady();
    const { id, replies } = this.#open(incarnation);
    incarnation.worker.send({ kind: 'countTokens', id, texts });
    const reply = await replies.next();
    incarnation.pending.delete(id);
    this.#watchWork(incarnation);
    if (reply.kind === 'counted') return reply.counts;
    throw reply.kind === 'failed' ? reply.error : wrongAnswer();
  }

  async embed(input: EmbedInput, signal: AbortSignal): Promise<Embeddings> {
    if (!this.#capabilities.embed) throw cannot('embed');
    const width = this.#model?.dimensions ?? 0;
    const { dimensions = width } = input;
    if (dimensions > width) {
      throw new EngineFailure('invalid_request', `dimensions: this model gives ${String(width)}`);
    }
    const prompt = taskPrompt(this.#facts?.architecture, input.task);
    const vectors: (readonly number[])[] = [];
    let inputTokens = 0;
    for (const texts of slicesOf(input.texts)) {
      const question = { kind: 'embed', texts: texts.map((text) => prompt + text) } as const;
      const answer = expectKind(await this.#ask(question, signal), 'vectors');
      for (const vector of answer.vectors) vectors.push(toUnitVector(vector, dimensions));
      inputTokens += answer.tokens;
    }
    return { vectors, inputTokens };
  }

  async rerank(query: string, documents: readonly string[], signal: AbortSignal): Promise<Scores> {
    if (!this.#capabilities.rerank) throw cannot('rerank');
    const scores: number[] = [];
    let inputTokens = 0;
    for (const slice of slicesOf(documents)) {
      const answer = expectKind(await this.#ask({ kind: 'rank', query, documents: slice }, signal), 'scores');
      scores.push(...answer.scores);
      inputTokens += answer.tokens;
    }
    return { scores, inputTokens };
  }

  async tokenize(text: string, signal: AbortSignal): Promise<readonly number[]> {
    return expectKind(await this.#ask({ kind: 'tokenize', text }, signal), 'tokens').tokens;
  }

  async detokenize(tokens: readonly number[], signal: AbortSignal): Promise<string> {
    const size = this.#facts?.vocabularySize ?? 0;
    if (this.#facts !== undefined && tokens.some((token) => token >= size)) {
      throw new EngineFailure('invalid_request', `tokens: the vocabulary ends at ${String(size - 1)}`);
    }
    return expectKind(await this.#ask({ kind: 'detokenize', tokens }, signal), 'text').text;
  }

  async render(request: ResolvedGeneration, signal: AbortSignal): Promise<Rendered> {
    if (!this.#capabilities.generate) throw cannot('generate');
    const { text, tokens, grammar } = expectKind(
      await this.#ask({ kind: 'render', request }, signal),
      'prompt',
    );
    return { prompt: text, promptTokens: tokens, ...(grammar === undefined ? {} : { grammar }) };
  }

  /** @throws EngineFailure, or the signal's reason once it is aborted and the worker has stopped. */
  async #ask(question: Question, signal: AbortSignal): Promise<QuestionAnswer> {
    signal.throwIfAborted();
    const incarnation = this.#requireReady();
    const { worker, pending } = incarnation;
    const { id, replies } = this.#open(incarnation);
    const abort = (): void => {
      worker.send({ kind: 'abort', id });
    };
    signal.addEventListener('abort', abort, { once: true });
    worker.send({ kind: 'ask', id, question });
    try {
      const reply = await replies.next();
      signal.throwIfAborted();
      if (reply.kind === 'answered') return reply.answer;
      throw reply.kind === 'failed' ? reply.error : wrongAnswer();
    } finally {
      signal.removeEventListener('abort', abort);
      pending.delete(id);
      this.#watchWork(incarnation);
    }
  }

  async stop(): Promise<void> {
    this.#started = true;
    this.#stopping.abort();
    clearTimeout(this.#restartTimer);
    await this.#loading;
    const { worker, pending } = this.#current ?? {};
    for (const id of pending?.keys() ?? []) worker?.send({ kind: 'abort', id });
    await worker?.stop(this.#options.stopTimes ?? defaultStopTimes);
    this.#release();
    this.#setState({ kind: 'stopped' });
  }

  /** Looks at the file, then starts a worker that loads it. What comes of it is told by `state`. */
  async #load(): Promise<void> {
    const { source } = this.#options;
    const { signal } = this.#stopping;
    try {
      this.#setPhase({ phase: 'checking_local', path: source.path });
      this.#claim ??= await this.#options.claim?.(source);
      const { privateDirectory } = this.#options;
      const file = await openTrustedFile(source, {
        signal,
        onVerify: () => {
          this.#setPhase({ phase: 'verify', path: source.path });
        },
        ...(privateDirectory === undefined ? {} : { privateDirectory }),
      });
      const draft = await this.#draft.open(signal);
      try {
        const found = await this.#chooseDevice();
        const draftFacts = draft === undefined || 'problem' in draft ? undefined : draft.facts;
        const plan = await this.#options.planLoad?.(file.facts, found, draftFacts);
        const measured = await recallThreads(this.#options, found);
        if (!signal.aborted) this.#spawn(file, found, plan, measured, draft);
        else await Promise.all([file.close(), closeDraft(draft)]);
      } catch (error) {
        await Promise.all([file.close(), closeDraft(draft)]);
        throw error;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ChecksumError) this.#tellQuarantine(error);
      this.#fail(toHearthError(error));
    }
  }

  async #chooseDevice(): Promise<ChosenDevice> {
    if (this.#gpuProblem !== undefined) return { kind: 'cpu', reason: this.#gpuProblem };
    return (await this.#options.chooseDevice?.(this.#stopping.signal)) ?? { kind: 'cpu' };
  }

  #tellQuarantine({ quarantined }: ChecksumError): void {
    const { path, expectedSha256, actualSha256, quarantinePath } = quarantined;
    this.#setPhase({
      phase: 'quarantine',
      path,
      expected_sha256: expectedSha256,
      actual_sha256: actualSha256,
      // Where it could not be moved it lies where it lay, and is not loaded.
      quarantine_path: quarantinePath ?? path,
    });
  }

  #spawn(
    file: TrustedFile,
    found: ChosenDevice,
    plan: LoadPlan | undefined,
    measured: ThreadChoice | undefined,
    draft: Incarnation['draft'],
  ): void {
    const { facts } = file;
    if (facts.purpose === 'projector') {
      void file.close();
      void closeDraft(draft);
      throw new HearthError(
        'model_load_failed',
        'This file turns pictures into what another model reads, and is no model by itself. Load that one.',
      );
    }
    const workerPath = this.#options.workerPath ?? findWorker();
    const { source } = this.#options;
    const contextSize = chooseContextSize(this.#options, plan, facts);
    const { device, gpuLayers } = settleDevice(found, plan);
    const worker = new WorkerProcess(workerPath, (message) => {
      this.#hear(incarnation, message, contextSize, facts);
    });
    const watch = new HangWatch({
      timeoutMs: this.#options.hangTimeoutMs ?? 10_000,
      ping: () => {
        worker.send({ kind: 'ping' });
      },
      hung: () => {
        this.#killHung(incarnation);
      },
    });
    const incarnation: Incarnation = {
      worker,
      watch,
      device,
      gpuLayers,
      file,
      draft,
      pending: new Map(),
      hung: false,
      byGrammar: false,
      spent: 'no',
      readyAt: undefined,
      fatal: undefined,
    };
    this.#current = incarnation;
    void worker.exited.then((exit) => {
      this.#buried(incarnation, exit);
    });
    watch.setBusy(true, loadPatience);
    this.#setPhase({ phase: 'mmap', path: source.path, progress: 0 });
    worker.send({
      kind: 'load',
      order: orderLoad(this.#options, { file, draft, contextSize, device, gpuLayers, measured, plan }),
    });
  }

  #hear(incarnation: Incarnation, message: FromWorker, contextSize: number, facts: GgufFacts): void {
    incarnation.watch.heard();
    switch (message.kind) {
      case 'progress':
        if (message.phase === 'kv_cache') this.#setPhase({ phase: 'kv_cache', n_ctx: contextSize });
        else this.#setPhase({ phase: 'mmap', path: this.#options.source.path, progress: message.progress });
        return;
      case 'loaded':
        void this.#loaded(incarnation, message.info, facts);
        return;
      case 'pong':
        if (message.stepMs > longestStepOf[message.grammars]) {
          incarnation.byGrammar = message.grammars !== 'none';
          this.#killHung(incarnation);
        }
        return;
      case 'spent':
        if (incarnation.spent === 'no') incarnation.spent = 'said';
        this.#watchWork(incarnation);
        return;
      case 'fatal':
        incarnation.fatal = new HearthError(message.code, message.message);
        incarnation.worker.send({ kind: 'shutdown' });
        return;
      case 'chunk':
      case 'done':
      case 'counted':
      case 'answered':
        incarnation.pending.get(message.id)?.push(message);
        return;
      case 'failed':
        incarnation.pending
          .get(message.id)
          ?.push({ kind: 'failed', error: toEngineFailure(message.failure) });
        return;
    }
  }

  /** Nobody is served before it is known that the file did not change under the worker. */
  async #loaded(incarnation: Incarnation, info: LoadedInfo, facts: GgufFacts): Promise<void> {
    try {
      await incarnation.file.assertUnchanged();
    } catch (error) {
      incarnation.fatal = toHearthError(error);
      incarnation.worker.send({ kind: 'shutdown' });
      return;
    }
    if ((await this.#draft.changed(incarnation.draft)) !== undefined) {
      // The model itself is as it was: it is loaded again, without.
      this.#loadAgain(incarnation);
      return;
    }
    await incarnation.file.close();
    await closeDraft(incarnation.draft);
    await rememberThreads(this.#options, info);
    if (this.#current === incarnation) this.#ready(incarnation, info, facts);
  }

  #ready(incarnation: Incarnation, info: LoadedInfo, facts: GgufFacts): void {
    if (this.#stopping.signal.aborted) return;
    const { source } = this.#options;
    incarnation.readyAt = performance.now();
    this.#hasLoaded = true;
    this.#capabilities = capabilitiesFor(info);
    this.#facts = facts;
    this.#model = modelInfoOf(source, incarnation, info, facts, this.#capabilities);
    this.#watchWork(incarnation);
    this.#setState({ kind: 'ready' });
  }

  /** A ready worker is watched while it has work. One that is spent is ended when it has none. */
  #watchWork(incarnation: Incarnation): void {
    const { watch, pending } = incarnation;
    watch.setBusy(pending.size > 0);
    if (incarnation.spent !== 'said' || pending.size > 0 || this.#current !== incarnation) return;
    if (this.#stopping.signal.aborted) return;
    // Nobody is sent to it any more.
    const reason = 'a grammar of a request kept the engine busy after its end';
    this.#setState({ kind: 'restarting', attempt: 1, delayMs: 0, reason });
    this.#loadAgain(incarnation);
  }

  /** Ends a worker that nobody waits for; another one follows at once. */
  #loadAgain(incarnation: Incarnation): void {
    incarnation.spent = 'ended';
    incarnation.worker.kill('SIGKILL');
  }

  #killHung(incarnation: Incarnation): void {
    incarnation.hung = true;
    incarnation.worker.kill('SIGKILL');
  }

  /** The worker is gone: its own requests fail, and it is started again unless that is of no use. */
  #buried(incarnation: Incarnation, exit: WorkerExit): void {
    const { watch, file, pending, worker, hung, spent, readyAt, fatal } = incarnation;
    void file.close();
    void closeDraft(incarnation.draft);
    watch.setBusy(false);
    if (this.#current === incarnation) this.#current = undefined;
    const stopping = this.#stopping.signal.aborted;
    const death = classifyDeath(exit, {
      hung,
      firstLoad: !this.#hasLoaded,
      assertion: findAssertion(worker.output),
    });
    const failure = stopping
      ? new EngineFailure('unavailable', 'The engine is being stopped.')
      : new EngineFailure(
          hung ? 'hung' : 'crashed',
          `The generation was lost: ${death.text}. The engine starts again; try again.`,
        );
    for (const replies of pending.values()) replies.push({ kind: 'failed', error: failure });
    if (stopping) return;
    if (spent === 'ended') {
      this.#loading = this.#load();
      return;
    }
    if (incarnation.device.kind !== 'cpu' && readyAt === undefined) {
      this.#leaveCard(
        incarnation.device.kind,
        `the model could not be loaded there: ${fatal?.message ?? death.text}`,
      );
      return;
    }
    if (fatal !== undefined) {
      this.#fail(fatal);
      return;
    }
    if (death.kind === 'bad_model') {
      const advice = 'The file may be damaged or made for a newer engine. Try another file.';
      this.#fail(new HearthError('model_load_failed', `${capitalised(death.text)}. ${advice}`));
      return;
    }
    const readyMs = readyAt === undefined ? 0 : performance.now() - readyAt;
    const afterDeath = this.#policy.afterDeath(readyMs);
    // What a client asked for costs the others a start, but never the engine.
    const restart = incarnation.byGrammar ? this.#afterGrammar() : afterDeath;
    if (incarnation.device.kind !== 'cpu' && !incarnation.byGrammar) {
      // Want of memory is not the card's fault.
      if (death.kind !== 'out_of_memory')
        this.#cardDeaths = afterCardDeath(this.#cardDeaths, performance.now());
      if (isCardLost(this.#cardDeaths) || restart === undefined) {
        this.#leaveCard(
          incarnation.device.kind,
          `it is not used any more, because the engine died there again and again: ${death.text}`,
        );
        return;
      }
    }
    if (restart === undefined) {
      const code: ErrorCode = death.kind === 'hung' ? 'engine_hung' : 'engine_crashed';
      this.#fail(
        new HearthError(code, `The engine was started again too often without lasting: ${death.text}.`),
      );
      return;
    }
    this.#policy = restart.next;
    const { attempt, delayMs } = restart;
    this.#setState({ kind: 'restarting', attempt, delayMs, reason: death.text });
    this.#restartTimer = setTimeout(() => {
      this.#loading = this.#load();
    }, delayMs);
  }

  /** The processor takes over, with a budget of its own. */
  #leaveCard(kind: GpuKind, why: string): void {
    this.#gpuProblem = `${kindNames[kind]}: ${why}`;
    this.#policy = this.#freshPolicy();
    this.#setState({ kind: 'restarting', attempt: 1, delayMs: 0, reason: this.#gpuProblem });
    this.#loading = this.#load();
  }

  /** The first step of a fresh policy, and the policy as it was. */
  #afterGrammar(): Restart | undefined {
    const first = this.#freshPolicy().afterDeath(0);
    return first === undefined ? undefined : { ...first, next: this.#policy };
  }

  #freshPolicy(): RestartPolicy {
    return new RestartPolicy({ ...defaultRestartOptions, ...this.#options.restart });
  }

  #requireReady(): Incarnation {
    if (this.#state.kind === 'ready' && this.#current !== undefined) return this.#current;
    throw new EngineFailure('not_ready', 'The model is not loaded yet.');
  }

  #open(incarnation: Incarnation): { id: number; replies: ReplyQueue<Reply> } {
    this.#lastId += 1;
    const replies = new ReplyQueue<Reply>();
    incarnation.pending.set(this.#lastId, replies);
    this.#watchWork(incarnation);
    return { id: this.#lastId, replies };
  }

  /** A model that restarts stays in use; one that failed or was stopped does not. */
  #release(): void {
    this.#claim?.release();
    this.#claim = undefined;
    this.#draft.release();
  }

  #fail(error: HearthError): void {
    this.#release();
    this.#setState({ kind: 'failed', code: error.code, reason: error.message });
  }

  /** Tells progress of a load, in steps worth telling. */
  #setPhase(phase: LoadPhase): void {
    if (this.#stopping.signal.aborted) return;
    const progress = phase.phase === 'mmap' ? phase.progress : undefined;
    const before = this.#state;
    if (
      before.kind === 'loading' &&
      before.phase === phase.phase &&
      Math.abs((progress ?? 0) - (before.progress ?? 0)) < progressStep
    ) {
      return;
    }
    this.events.emit('phase', phase);
    this.#setState({ kind: 'loading', phase: phase.phase, ...(progress === undefined ? {} : { progress }) });
  }

  #setState(state: BackendState): void {
    if (this.#state.kind === 'stopped') return;
    this.#state = state;
    this.events.emit('state', state);
  }
}

function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
