import { createHash, randomInt } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { statSync } from 'node:fs';
import { HearthError, toHearthError } from '@hearth/protocol';
import type { BackendState, ErrorCode, LoadPhase, ModelInfo, ResolvedGeneration } from '@hearth/protocol';
import { type GpuKind, kindNames } from '../../accelerators/kinds.js';
import { findUpwards } from '../../models/find-upwards.js';
import type { GgufFacts } from '../../models/gguf-check.js';
import type { KeyValueType } from '../../models/memory/key-value-type.js';
import type { ModelSource } from '../../models/model-source.js';
import { ChecksumError } from '../../models/trust/quarantine.js';
import { openTrustedFile, type TrustedFile } from '../../models/trust/trusted-file.js';
import { generatorCapabilities } from '../encoding.js';
import type { EmbedInput, Embeddings, EngineCapabilities, Rendered, Scores } from '../encoding.js';
import { cannot, EngineFailure } from '../engine.js';
import type { Engine, EngineChunk, EngineEvents } from '../engine.js';
import {
  type Restart,
  RestartPolicy,
  type RestartOptions,
  defaultRestartOptions,
} from '../../supervisor/restart-policy.js';
import { toUnitVector } from '../unit-vector.js';
import { afterCardDeath, type CardDeaths, isCardLost } from './card-deaths.js';
import type { ChosenDevice } from './device-choice.js';
import { HangWatch } from './hang-watch.js';
import { ReplyQueue } from './reply-queue.js';
import { resuming, type CountedChunk } from './resuming.js';
import { slicesOf } from './slices.js';
import { SpeedMeter } from './speed-meter.js';
import { taskPrompt } from './task-prompts.js';
import { classifyDeath, findAssertion } from './worker-death.js';
import type { WorkerExit } from './worker-death.js';
import { machineKey } from './thread-memory.js';
import type { ThreadMemory } from './thread-memory.js';
import { WorkerProcess, defaultStopTimes } from './worker-process.js';
import type { StopTimes } from './worker-process.js';
import type {
  DriverName,
  FromWorker,
  GenerationResult,
  GpuOrder,
  LoadOrder,
  Piece,
  Question,
  QuestionAnswer,
  LoadedInfo,
  RequestFailure,
  StatesOrder,
  StepGrammars,
  ThreadChoice,
} from './worker/messages.js';

/** What a {@link LlamaEngine} is made with. */
export interface LlamaEngineOptions {
  readonly source: ModelSource;
  /** How many generations can run at once; each has a context of its own. */
  readonly sequences: number;
  /** Tokens of context for each. Default: what the model was trained on, at most 8192. */
  readonly contextSize?: number;
  /** Default: `llama`. */
  readonly name?: string;
  /** The worker's bundle. Default: `engine-worker.mjs` beside this code or in `dist` above it. */
  readonly workerPath?: string;
  readonly restart?: Partial<RestartOptions>;
  /** Silence after which a worker with work counts as hung. Default: 10 000 ms. */
  readonly hangTimeoutMs?: number;
  readonly stopTimes?: StopTimes;
  /** Chooses what computes, before each load. Default: the processor. @throws an AbortError after its signal */
  readonly chooseDevice?: (signal: AbortSignal) => Promise<ChosenDevice>;
  /**
   * Chooses the tokens of context for each sequence, and the layers for a graphics card, when the file has been
   * checked. Default: those of the other options, and all layers.
   *
   * @throws HearthError `insufficient_memory` where it cannot be loaded
   */
  readonly planLoad?: (
    facts: GgufFacts,
    device: ChosenDevice,
    /** Of the model that guesses ahead. */
    draft: GgufFacts | undefined,
  ) => Promise<LoadPlan>;
  /** Says that the model is in use while a worker has it or loads it. Default: nobody is told. */
  readonly claim?: (source: ModelSource) => Promise<{ release(): void }>;
  /** Where links to and copies of a model file are made for its worker; see {@link openTrustedFile}. */
  readonly privateDirectory?: string;
  /** The driver to take and no other. Default: the C interface where it works, else node-llama-cpp. */
  readonly driver?: DriverName;
  /** Most bytes of saved states in the worker's memory. Default: 256 MiB. */
  readonly stateMemoryBytes?: number;
  /** Where states are kept on disk. Default: nowhere. */
  readonly stateDirectory?: string;
  /** Most bytes of states on disk. Default: 4 GiB. */
  readonly stateDiskBytes?: number;
  /** Guesses tokens ahead where that pays: from what stands before, or with {@link draftModel}. Default: `off`. */
  readonly drafts?: 'off' | 'lookup' | 'draft';
  /** A smaller model with the same vocabulary. Where it cannot be used the model works without, and says why. */
  readonly draftModel?: ModelSource;
  /** Where it is kept how many threads are the fastest. Default: it is measured at each load. */
  readonly threadMemory?: ThreadMemory;
}

/** How a model is to be loaded. */
export interface LoadPlan {
  readonly contextSize: number;
  /** 0: the processor computes everything. */
  readonly gpuLayers: number;
  /** How keys and values are kept. @default f16 */
  readonly keyValueType?: KeyValueType;
}

const defaultContextSize = 8192;
/** More than any model has. */
const allLayers = 1000;
const defaultStateMemoryBytes = 256 * 1024 * 1024;
const defaultStateDiskBytes = 4 * 1024 * 1024 * 1024;
/** A smaller model is fastest with one thread, whatever the machine. */
const calibrateFromBytes = 20_000_000;
/** Tokens of a prompt that such a model evaluates at once: that takes milliseconds. */
const smallModelBatch = 512;
/** Chunks that the worker may send before any is consumed. */
const creditWindow = 8;
/** Chunks after whose consumption credit is given back: half the window, so that the worker never has to wait. */
const creditBatch = creditWindow / 2;
/** A native call that takes longer will not come back. One micro-batch of the largest model takes seconds. */
const longestStepMs = 120_000;
/** A step that samples with a grammar takes milliseconds more than one without; a prompt's micro-batch is none. */
const longestGrammarStepMs = 20_000;
/** The same where nobody waits for what the grammar gives: the others are worth more than its sequence. */
const longestAbandonedStepMs = 5000;
/** Times the hang timeout that a load may go without an answer: reading a large header keeps the worker busy. */
const loadPatience = 6;
/** Progress of a load is told in steps of this size. */
const progressStep = 0.05;

type Reply =
  | { readonly kind: 'chunk'; readonly piece: Piece; readonly tokens: number }
  | { readonly kind: 'done'; readonly result: GenerationResult }
  | { readonly kind: 'counted'; readonly counts: readonly number[] }
  | { readonly kind: 'answered'; readonly answer: QuestionAnswer }
  | { readonly kind: 'failed'; readonly error: EngineFailure };

/** A worker and what is known of it. Gone with the worker. */
interface Incarnation {
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
   * `said`: it still works on what a request left behind, and is to be ended once nobody waits for it; `ended`: it was, and
   * nobody lost anything.
   */
  spent: 'no' | 'said' | 'ended';
  /** When it became ready, in milliseconds of a monotonic clock. */
  readyAt: number | undefined;
  /** Why the model cannot be served, said by the worker itself. */
  fatal: HearthError | undefined;
}

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
      const answer = expect(await this.#ask(question, signal), 'vectors');
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
      const answer = expect(await this.#ask({ kind: 'rank', query, documents: slice }, signal), 'scores');
      scores.push(...answer.scores);
      inputTokens += answer.tokens;
    }
    return { scores, inputTokens };
  }

  async tokenize(text: string, signal: AbortSignal): Promise<readonly number[]> {
    return expect(await this.#ask({ kind: 'tokenize', text }, signal), 'tokens').tokens;
  }

  async detokenize(tokens: readonly number[], signal: AbortSignal): Promise<string> {
    const size = this.#facts?.vocabularySize ?? 0;
    if (this.#facts !== undefined && tokens.some((token) => token >= size)) {
      throw new EngineFailure('invalid_request', `tokens: the vocabulary ends at ${String(size - 1)}`);
    }
    return expect(await this.#ask({ kind: 'detokenize', tokens }, signal), 'text').text;
  }

  async render(request: ResolvedGeneration, signal: AbortSignal): Promise<Rendered> {
    if (!this.#capabilities.generate) throw cannot('generate');
    const { text, tokens, grammar } = expect(await this.#ask({ kind: 'render', request }, signal), 'prompt');
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
      const draft = await this.#openDraft();
      try {
        const found = await this.#chooseDevice();
        const draftFacts = draft === undefined || 'problem' in draft ? undefined : draft.facts;
        const plan = await this.#options.planLoad?.(file.facts, found, draftFacts);
        const measured = await this.#recall(found);
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
    const { source, sequences, driver } = this.#options;
    const trained = facts.contextLength ?? defaultContextSize;
    const contextSize = Math.min(
      plan?.contextSize ?? this.#options.contextSize ?? defaultContextSize,
      trained,
    );
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
    const threads = source.threads ?? (source.sizeBytes < calibrateFromBytes ? 1 : undefined);
    const { longestTokenBytes } = facts;
    worker.send({
      kind: 'load',
      order: {
        path: file.path,
        sequences,
        contextSize,
        threads,
        ...(source.sizeBytes < calibrateFromBytes ? { batch: smallModelBatch } : {}),
        longestTokenBytes,
        ...(driver === undefined ? {} : { driver }),
        ...(measured === undefined ? {} : { measured }),
        states: this.#orderStates(),
        ...(device.kind === 'cpu' ? {} : { gpu: orderGpu(device, gpuLayers) }),
        drafts: this.#options.drafts ?? 'off',
        ...this.#orderDraft(draft),
        keyValueType: plan?.keyValueType ?? 'f16',
      },
    });
  }

  /** The file of the model that guesses ahead. Never rejects: without it the model works as well. */
  async #openDraft(): Promise<Incarnation['draft']> {
    const { draftModel, privateDirectory } = this.#options;
    if (draftModel === undefined) return undefined;
    try {
      return await openTrustedFile(draftModel, {
        signal: this.#stopping.signal,
        ...(privateDirectory === undefined ? {} : { privateDirectory }),
      });
    } catch (error) {
      return { problem: toHearthError(error).message };
    }
  }

  #orderDraft(draft: Incarnation['draft']): Pick<LoadOrder, 'draft'> {
    const { draftModel } = this.#options;
    if (draftModel === undefined || draft === undefined || 'problem' in draft) return {};
    const isSmall = draftModel.sizeBytes < calibrateFromBytes;
    return { draft: { path: draft.path, name: draftModel.displayName, ...(isSmall ? { threads: 1 } : {}) } };
  }

  /** What is known of this model on this machine; beside a graphics card other widths are the best. */
  async #recall({ kind }: ChosenDevice): Promise<ThreadChoice | undefined> {
    if (kind !== 'cpu') return undefined;
    const { source, threadMemory, driver } = this.#options;
    return threadMemory?.recall(machineKey(identify(source), driver ?? 'ffi'));
  }

  /** Keeps what was measured while nothing else ran. */
  async #remember({ choice, choiceFrom, batch, driver, gpu }: LoadedInfo): Promise<void> {
    const isNew = choiceFrom === 'measured' || (choiceFrom === 'remembered' && batch?.from === 'measured');
    if (choice === undefined || !isNew || gpu !== undefined) return;
    const isToKeep = batch?.from === 'measured' || batch?.from === 'remembered';
    const kept = isToKeep ? { ...choice, batch: batch.tokens } : choice;
    await this.#options.threadMemory?.keep(machineKey(identify(this.#options.source), driver), kept);
  }

  /** States fit one model only: they go by what its file hashes to, or else by which file it is. */
  #orderStates(): StatesOrder {
    const { source, stateMemoryBytes, stateDirectory, stateDiskBytes } = this.#options;
    const memoryBytes = stateMemoryBytes ?? defaultStateMemoryBytes;
    if (stateDirectory === undefined) return { memoryBytes };
    const bytes = stateDiskBytes ?? defaultStateDiskBytes;
    return { memoryBytes, disk: { directory: stateDirectory, bytes, key: identify(source) } };
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
        incarnation.spent = 'said';
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
    const { file, draft } = incarnation;
    try {
      await file.assertUnchanged();
      if (draft !== undefined && !('problem' in draft)) await draft.assertUnchanged();
    } catch (error) {
      incarnation.fatal = toHearthError(error);
      incarnation.worker.send({ kind: 'shutdown' });
      return;
    }
    await incarnation.file.close();
    await closeDraft(incarnation.draft);
    await this.#remember(info);
    if (this.#current === incarnation) this.#ready(incarnation, info, facts);
  }

  #ready(incarnation: Incarnation, info: LoadedInfo, facts: GgufFacts): void {
    if (this.#stopping.signal.aborted) return;
    const { source } = this.#options;
    incarnation.readyAt = performance.now();
    this.#hasLoaded = true;
    this.#capabilities = capabilitiesFor(info);
    this.#facts = facts;
    this.#model = {
      id: source.id,
      displayName: source.displayName,
      contextSize: info.contextSize,
      sizeBytes: facts.sizeBytes,
      infill: info.infill,
      ...(this.#capabilities.embed ? { dimensions: info.embedder?.dimensions ?? 0 } : {}),
      chat: facts.chatTemplate,
      driver: info.driver,
      ...(info.driverReason === undefined ? {} : { driverReason: info.driverReason }),
      threads: info.threads,
      threadsFrom: info.choiceFrom ?? (source.threads === undefined ? 'fixed' : 'configured'),
      ...draftOf(info, incarnation.draft),
      ...(info.batch === undefined ? {} : { batch: info.batch.tokens, batchFrom: info.batch.from }),
      accelerator: describeDevice(incarnation, info),
      // The other driver cannot say how likely its tokens are.
      ...(facts.confidence === undefined || info.driver !== 'ffi' ? {} : { confidence: facts.confidence }),
      ...(source.caution === undefined ? {} : { caution: source.caution }),
    };
    this.#watchWork(incarnation);
    this.#setState({ kind: 'ready' });
  }

  /** A ready worker is watched while it has work. One that is spent is ended when it has none. */
  #watchWork(incarnation: Incarnation): void {
    const { watch, pending, worker } = incarnation;
    watch.setBusy(pending.size > 0);
    if (incarnation.spent !== 'said' || pending.size > 0 || this.#current !== incarnation) return;
    if (this.#stopping.signal.aborted) return;
    incarnation.spent = 'ended';
    // Nobody is sent to it any more.
    const reason = 'a grammar of a request kept the engine busy after its end';
    this.#setState({ kind: 'restarting', attempt: 1, delayMs: 0, reason });
    worker.kill('SIGKILL');
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
    if (spent === 'ended') {
      this.#loading = this.#load();
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

/** The worker's bundle of this build. @throws HearthError where it is not there */
export function findWorker(): string {
  const found = findUpwards(import.meta.url, ['engine-worker.mjs', 'dist/engine-worker.mjs']);
  if (found !== undefined) return found;
  throw new HearthError(
    'internal',
    'This copy of Hearth lacks its engine worker. Build or install it again.',
  );
}

/** A card that has no room for a single layer does not compute. */
function settleDevice(
  device: ChosenDevice,
  plan: LoadPlan | undefined,
): { readonly device: ChosenDevice; readonly gpuLayers: number } {
  if (device.kind === 'cpu') return { device, gpuLayers: 0 };
  const gpuLayers = plan?.gpuLayers ?? allLayers;
  if (gpuLayers > 0) return { device, gpuLayers };
  const reason = `${kindNames[device.kind]}: ${device.name} has no room for any layer of this model.`;
  return { device: { kind: 'cpu', reason }, gpuLayers: 0 };
}

async function closeDraft(draft: Incarnation['draft']): Promise<void> {
  if (draft !== undefined && !('problem' in draft)) await draft.close();
}

/** What guesses ahead, as it is shown. */
function draftOf({ draft: loaded }: LoadedInfo, ordered: Incarnation['draft']): Pick<ModelInfo, 'draft'> {
  const draft = loaded ?? (ordered !== undefined && 'problem' in ordered ? ordered : undefined);
  return draft === undefined ? {} : { draft };
}

function orderGpu({ kind, folder }: Exclude<ChosenDevice, { kind: 'cpu' }>, layers: number): GpuOrder {
  return { kind, layers, ...(folder === undefined ? {} : { folder }) };
}

function describeDevice(
  { device, gpuLayers }: Incarnation,
  { cpuVariant }: LoadedInfo,
): NonNullable<ModelInfo['accelerator']> {
  const variant = cpuVariant === undefined ? {} : { cpuVariant };
  if (device.kind !== 'cpu') return { kind: device.kind, device: device.name, gpuLayers, ...variant };
  return { kind: 'cpu', ...variant, ...(device.reason === undefined ? {} : { reason: device.reason }) };
}

/** Which model it is, as a hash. */
function identify({ sha256, path }: ModelSource): string {
  const { size, mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
  return createHash('sha256')
    .update(sha256 ?? `${path}:${String(size)}:${String(mtimeMs)}`)
    .digest('hex');
}

async function* chunksOf(counted: AsyncIterable<CountedChunk>): AsyncGenerator<EngineChunk, void, void> {
  for await (const { chunk } of counted) yield chunk;
}

/** `request` with a seed: made again, its answer is the same. */
function withSeed(request: ResolvedGeneration): ResolvedGeneration {
  const { sampling } = request;
  return { ...request, sampling: { ...sampling, seed: sampling.seed ?? randomInt(largestSeed) } };
}

/** llama.cpp takes the largest 32-bit number to mean a random seed. */
const largestSeed = 0xff_ff_ff_ff;

const longestStepOf: Readonly<Record<StepGrammars, number>> = {
  none: longestStepMs,
  wanted: longestGrammarStepMs,
  abandoned: longestAbandonedStepMs,
};

function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function wrongAnswer(): EngineFailure {
  return new EngineFailure('internal', 'The engine gave a wrong answer.');
}

/** `answer`, which must be of this kind. @throws EngineFailure */
function expect<Kind extends QuestionAnswer['kind']>(
  answer: QuestionAnswer,
  kind: Kind,
): Extract<QuestionAnswer, { kind: Kind }> {
  if (isOfKind(answer, kind)) return answer;
  throw wrongAnswer();
}

function isOfKind<Kind extends QuestionAnswer['kind']>(
  answer: QuestionAnswer,
  kind: Kind,
): answer is Extract<QuestionAnswer, { kind: Kind }> {
  return answer.kind === kind;
}

/** A model that was trained for vectors or scores does not generate, and one that generates gives neither. */
function capabilitiesFor({ infill, embedder, tools, thinking }: LoadedInfo): EngineCapabilities {
  const encodes = embedder?.only === true;
  return {
    generate: !encodes,
    embed: encodes && embedder.gives === 'vectors',
    rerank: encodes && embedder.gives === 'scores',
    tokenize: true,
    vision: false,
    tools: tools === true,
    thinking: thinking === true,
    infill,
  };
}

const cancelled: EngineChunk = {
  kind: 'done',
  stopReason: 'cancelled',
  usage: { prompt_tokens: 0, completion_tokens: 0 },
};

function endOf(result: GenerationResult, isAborted: boolean): EngineChunk {
  const { stopReason, usage, decode, stopDetail, prefillMs, draft } = result;
  return {
    kind: 'done',
    stopReason: isAborted ? 'cancelled' : stopReason,
    usage,
    ...(stopDetail === undefined || isAborted ? {} : { stopDetail }),
    timings: {
      decodeMs: decode.milliseconds,
      ...(prefillMs === undefined ? {} : { prefillMs }),
      ...(draft === undefined ? {} : { draftTokens: draft.tokens, draftAccepted: draft.accepted }),
    },
  };
}

function toEngineFailure({ kind, message }: RequestFailure): EngineFailure {
  return new EngineFailure(kind, message);
}
