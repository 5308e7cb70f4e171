import { randomInt } from 'node:crypto';
import os from 'node:os';
import type { ResolvedGeneration } from '@hearth/protocol';
import { calibrateBatch } from '../calibrate-batch.js';
import { calibrateThreads } from '../calibrate.js';
import type {
  Driver,
  DriverAbilities,
  Embedder,
  PreparedRequest,
  Sampler,
  SampledToken,
  Sequence,
  StepItem,
  StepOutcome,
} from '../driver.js';
import { refuseGrammar } from '../grammar-guard.js';
import { LoadError, mostThreads, randomSeed } from '../load.js';
import type { LoadProgress } from '../load.js';
import type { BatchChoice, LoadOrder, LoadedInfo, ThreadChoice } from '../messages.js';
import { PromptBuilder } from '../prompting/prompt-builder.js';
import { RequestError } from '../request-error.js';
import { refuseUnsupported } from '../unsupported.js';
import type { SamplingPart } from '../unsupported.js';
import { findGpu } from './devices.js';
import { FfiContext } from './ffi-context.js';
import type { BatchToken } from './ffi-context.js';
import { checkGrammar, countStuckCalls } from './ffi-grammar.js';
import { FfiEmbedder } from './ffi-embedder.js';
import type { FfiModel } from './ffi-model.js';
import { FfiSampler } from './ffi-sampler.js';
import { FfiSequence } from './ffi-sequence.js';
import { ffiVocabulary } from './ffi-vocabulary.js';
import { explainLog } from './load-failure.js';
import { loadModelFile } from './load-model.js';
import { captureLog } from './log-capture.js';
import type { FfiDrafter } from './ffi-drafter.js';
import { openDrafter } from './open-drafter.js';
import { openNative } from './open-native.js';
import type { OpenedNative } from './open-native.js';
import { findPooling } from './pooling.js';
import type { Pooling } from './pooling.js';
import { testContext } from './self-test.js';
import { StepWatch } from './step-watch.js';
import { Threadpool } from './threadpool.js';
import { FfiUnavailable } from './unavailable.js';

const samplingParts: readonly SamplingPart[] = [
  'typical_p',
  'repeat_penalty',
  'presence_penalty',
  'frequency_penalty',
  'dry_multiplier',
  'xtc_probability',
  'mirostat',
  'logit_bias',
  'logprobs',
];
/** Most tokens of one decode. */
const batchSize = 512;
/** Most tokens that are drafted ahead for one sequence. */
const draftTokens = 8;
/** How long a step waits for a token that is slow to choose, in milliseconds. */
const patienceMs = 50;

/**
 * Loads a model through llama.cpp's C interface: the main driver.
 *
 * @throws FfiUnavailable where the other driver is to be taken.
 * @throws LoadError where no driver could load this model.
 */
export async function loadFfiDriver(
  order: LoadOrder,
  report: (progress: LoadProgress) => void,
): Promise<Driver> {
  const opened = await openNative(order.gpu);
  const { native } = opened;
  const model = await loadModelFile(native, {
    path: order.path,
    gpuLayers: order.gpu?.layers ?? 0,
    onProgress: (progress) => {
      report({ phase: 'mmap', progress });
    },
  });
  report({ phase: 'kv_cache' });
  const pooling = findPooling(model);
  const limit = chooseWidest(order.threads);
  const pool = limit > 1 ? new Threadpool(native, limit) : undefined;
  if (pooling.isTrained) {
    const embedding = new FfiDriver(model, undefined, pool, order, pooling, false, opened);
    embedding.setThreads(limit);
    return embedding;
  }
  const { result: context, lines } = await captureLog(native, () =>
    FfiContext.open(model, {
      sequences: order.sequences,
      contextSize: order.contextSize,
      batchSize,
      outputs: Math.min(batchSize, order.sequences * (1 + draftTokens)),
      threads: 1,
      quantised: order.keyValueType === 'q8_0',
      // A step on a graphics card is waited for elsewhere.
      ...(order.gpu === undefined ? { watch: new StepWatch() } : {}),
    }),
  );
  if (context === undefined) {
    throw new LoadError(
      'insufficient_memory',
      explainLog(lines) ??
        `There is not enough free memory for this model with ${order.sequences} × ${order.contextSize} tokens of context. Use a smaller model, or fewer --active-permits.`,
    );
  }
  const any = model.special('begin') ?? model.special('end') ?? 0;
  const { aborts } = await testContext(context, any);
  const driver = new FfiDriver(model, context, pool, order, pooling, aborts, opened);
  if (order.threads === undefined && order.measured !== undefined) driver.remember(order.measured);
  else if (order.threads === undefined) await driver.calibrate(limit, any);
  else driver.setThreads(limit);
  await driver.chooseBatch(any);
  if (order.draft !== undefined) await driver.addDrafter(order.draft);
  return driver;
}

class FfiDriver implements Driver {
  readonly sequences: readonly FfiSequence[];
  readonly embedder: Embedder;
  readonly stateKey: string;
  readonly #opened: OpenedNative;
  readonly #model: FfiModel;
  /** Undefined: the model does not generate. */
  readonly #context: FfiContext | undefined;
  readonly #pool: Threadpool | undefined;
  readonly #order: LoadOrder;
  readonly #prompts: PromptBuilder;
  readonly #aborts: boolean;
  #choice: Pick<LoadedInfo, 'choice' | 'choiceFrom'> = {};
  #batch: BatchChoice = { tokens: batchSize, from: 'fixed' };
  #drafter: FfiDrafter | undefined;
  #draft: LoadedInfo['draft'];
  #turn: Promise<unknown> = Promise.resolve();
  #threads = 1;
  /** What is to hold from the next step on; threads cannot be changed while one is in progress. */
  #wantedThreads = 1;

  constructor(
    model: FfiModel,
    context: FfiContext | undefined,
    pool: Threadpool | undefined,
    order: LoadOrder,
    pooling: Pooling,
    aborts: boolean,
    opened: OpenedNative,
  ) {
    this.#opened = opened;
    this.#model = model;
    this.#context = context;
    this.#pool = pool;
    // What was saved of another type does not fit.
    const type = order.keyValueType === 'q8_0' ? ' q8_0' : '';
    this.stateKey = `llama.cpp ${model.native.version() ?? ''} split${type}`;
    this.#order = order;
    this.#prompts = new PromptBuilder(ffiVocabulary(model));
    // What a recurrent model has begun to evaluate cannot be taken back.
    this.#aborts = aborts && model.keepsTails;
    this.sequences =
      context === undefined
        ? []
        : Array.from({ length: order.sequences }, (_, id) => new FfiSequence(context, id));
    this.embedder = new FfiEmbedder(model, {
      pooling,
      contextSize: order.contextSize,
      pool,
      threads: () => this.#wantedThreads,
      exclusively: (work) => this.#exclusively(work),
    });
  }

  get isSpent(): boolean {
    return countStuckCalls() > 0;
  }

  get abilities(): DriverAbilities {
    return {
      mostThreads: this.#pool?.threads ?? 1,
      stepTokens: batchSize,
      promptTokens: this.#batch.tokens,
      interrupts: this.#aborts,
      // Without an abort nothing could end it.
      inPlace: this.#aborts && this.#order.gpu === undefined,
      copies: true,
      draftTokens: this.#model.keepsTails ? draftTokens : 0,
    };
  }

  get info(): LoadedInfo {
    return {
      contextSize: this.#order.contextSize,
      infill: this.#prompts.infill,
      threads: this.#wantedThreads,
      ...this.#choice,
      ...(this.#context === undefined ? {} : { batch: this.#batch }),
      driver: 'ffi',
      ...(this.#draft === undefined ? {} : { draft: this.#draft }),
      ...this.#device(),
      embedder: this.embedder.info,
      tools: this.#context !== undefined,
      thinking: this.#prompts.thinking,
    };
  }

  /** What computes, and how much memory it has left now. */
  #device(): Pick<LoadedInfo, 'cpuVariant' | 'gpu'> {
    const { cpuVariant, gpu, native } = this.#opened;
    const now = gpu && findGpu(native, gpu.kind);
    return {
      ...(cpuVariant === undefined ? {} : { cpuVariant }),
      ...(now === undefined ? {} : { gpu: now }),
    };
  }

  async prepare(request: ResolvedGeneration): Promise<PreparedRequest> {
    const { sampling } = request;
    if (this.#context === undefined) {
      throw new RequestError(
        'unsupported',
        'This model gives vectors or scores for texts; it does not write.',
      );
    }
    refuseUnsupported(request, samplingParts);
    for (const { token } of sampling.logitBias) refuseUnknownToken(token, this.#model.vocabularySize);
    const prompt = this.#prompts.build(request, {
      contextSize: this.#order.contextSize,
      maxTokens: sampling.maxTokens,
      longestTokenBytes: this.#order.longestTokenBytes,
    });
    const { grammar } = prompt;
    if (grammar !== undefined) {
      const refusal = refuseGrammar(grammar);
      if (refusal !== undefined) throw new RequestError('invalid_request', refusal);
      checkGrammar(this.#model, grammar);
    }
    return {
      tokens: prompt.tokens,
      stopTokens: prompt.stopTokens,
      stopTexts: [...sampling.stop, ...prompt.stopTexts],
      sampling: { ...sampling, seed: chooseSeed(sampling.seed) },
      grammar: grammar === undefined ? undefined : { driver: grammar },
      answer: prompt.answer,
      grammarText: prompt.grammar,
      tokenizeMarks: (text) => this.#prompts.tokenizeMarks(text),
    };
  }

  countTokens(text: string): number {
    return this.#model.tokenize(text).length;
  }

  tokenize(text: string): readonly number[] {
    return this.#model.tokenize(text);
  }

  detokenize(tokens: readonly number[], _before: readonly number[], marks?: 'shown'): string {
    return this.#model.detokenize(tokens, marks);
  }

  setThreads(count: number): void {
    this.#wantedThreads = Math.max(1, Math.min(count, this.#pool?.threads ?? 1));
  }

  startSampling(sequence: Sequence, { tokens, sampling, grammar }: PreparedRequest): Sampler {
    const text = typeof grammar?.driver === 'string' ? grammar.driver : undefined;
    const sampler = new FfiSampler(this.#model, this.#requireContext(), sampling, tokens, text);
    return new RequestSampler(sampler, sequence);
  }

  async step(items: readonly StepItem[], inPlaceMs?: number): Promise<readonly StepOutcome[]> {
    const context = this.#requireContext();
    const works = items.map((item) => ({ ...item, sequence: this.#own(item.sequence) }));
    const batch: BatchToken[] = [];
    const firsts = works.map(({ sequence, tokens, sampler, draft = [] }) => {
      const start = sequence.tokens().length;
      const wanted = tokens.length - 1;
      const first = batch.length + wanted;
      for (const [index, token] of [...tokens, ...draft].entries()) {
        const output = sampler !== undefined && index >= wanted;
        batch.push({ token, sequence: sequence.id, position: start + index, output });
      }
      return first;
    });
    const outcome = await this.#exclusively(() => {
      this.#applyThreads(context);
      return context.decode(batch, inPlaceMs);
    });
    if (outcome === 'aborted') return works.map(() => ({ kind: 'interrupted' }));
    if (outcome === 'full') {
      const error = new Error('the context has no room');
      return works.map(() => ({ kind: 'failed', error }));
    }
    for (const { sequence, tokens, draft = [] } of works) sequence.append([...tokens, ...draft]);
    return Promise.all(
      works.map(async ({ sequence, sampler, draft = [] }, index): Promise<StepOutcome> => {
        if (!(sampler instanceof RequestSampler)) return { kind: 'evaluated' };
        const choosing = sampler.choose(firsts[index] ?? 0, draft, this.#model).then(
          (sampled): StepOutcome => {
            // What of the draft was wrong is forgotten again.
            const wrong = draft.length - Math.max(0, sampled.kept);
            if (wrong > 0) sequence.cut(sequence.tokens().length - wrong);
            return { kind: 'sampled', tokens: sampled.tokens, ended: sampled.ended };
          },
          (error: unknown): StepOutcome => ({ kind: 'failed', error }),
        );
        return sampler.isSlow ? patiently(choosing) : choosing;
      }),
    );
  }

  interrupt(): void {
    if (!this.#aborts) return;
    this.#drafter?.interrupt();
    this.#context?.abort();
  }

  loseCalls(): void {
    // No call of this driver gets lost: each has an answer, or is given up after a time.
  }

  get drafter(): FfiDrafter | undefined {
    return this.#drafter;
  }

  /** Loads the model that guesses ahead; without it, it only says why. */
  async addDrafter(draft: NonNullable<LoadOrder['draft']>): Promise<void> {
    if (this.#order.gpu !== undefined) {
      const problem = 'A graphics card computes, and a draft model on the processor would only slow it down.';
      this.#draft = { problem };
      return;
    }
    const found = await openDrafter(this.#model, draft, this.#order, {
      pool: this.#pool,
      threads: () => Math.min(this.#wantedThreads, draft.threads ?? Infinity),
      exclusively: (work) => this.#exclusively(work),
    });
    if (typeof found === 'string') this.#draft = { problem: found };
    else [this.#drafter, this.#draft] = [found, { name: draft.name }];
  }

  /** Takes what was measured before. */
  remember(choice: ThreadChoice): void {
    this.#choose(choice, 'remembered');
  }

  #choose(
    { threads, narrowMs, wideMs }: Pick<ThreadChoice, 'threads' | 'narrowMs' | 'wideMs'>,
    choiceFrom: NonNullable<LoadedInfo['choiceFrom']>,
  ): void {
    this.setThreads(threads);
    this.#choice = { choice: { threads: this.info.threads, narrowMs, wideMs }, choiceFrom };
  }

  /** Times a few steps at each width and keeps the fastest. */
  async calibrate(most: number, token: number): Promise<void> {
    const [sequence] = this.sequences;
    if (sequence === undefined || most < 2) return;
    const calibration = await calibrateThreads(async (count) => {
      this.setThreads(count);
      if (sequence.tokens().length >= Math.min(64, this.#order.contextSize - 2)) sequence.cut(0);
      const start = performance.now();
      const [outcome] = await this.step([{ sequence, tokens: [token], sampler: undefined }]);
      if (outcome?.kind !== 'evaluated') throw new FfiUnavailable('A step of the calibration did not work.');
      return performance.now() - start;
    }, most);
    this.#choose(calibration, calibration.quiet ? 'measured' : 'measured_busy');
    sequence.cut(0);
  }

  /** As ordered, as measured before, or as measured now with the threads that were chosen. */
  async chooseBatch(token: number): Promise<void> {
    const { batch, measured, contextSize } = this.#order;
    const most = Math.min(batchSize, contextSize);
    if (batch !== undefined) {
      this.#batch = { tokens: Math.min(batch, most), from: 'fixed' };
    } else if (measured?.batch !== undefined) {
      this.#batch = { tokens: Math.min(measured.batch, most), from: 'remembered' };
    } else {
      const { choice } = this.#choice;
      const piece = (count: number): Promise<number> => this.#timePrompt(token, count);
      // A decode step: a token of a prompt costs less.
      const tokenMs = choice === undefined ? await piece(1) : Math.min(choice.narrowMs, choice.wideMs);
      this.#batch = await calibrateBatch(piece, { most, tokenMs });
    }
  }

  /** Milliseconds in which a prompt of so many tokens is evaluated in one step. */
  async #timePrompt(token: number, count: number): Promise<number> {
    const [sequence] = this.sequences;
    if (sequence === undefined) throw new FfiUnavailable('A step of the calibration did not work.');
    sequence.cut(0);
    const tokens = new Array<number>(count).fill(token);
    const start = performance.now();
    const [outcome] = await this.step([{ sequence, tokens, sampler: undefined }]);
    const milliseconds = performance.now() - start;
    sequence.cut(0);
    if (outcome?.kind !== 'evaluated') throw new FfiUnavailable('A step of the calibration did not work.');
    return milliseconds;
  }

  #requireContext(): FfiContext {
    if (this.#context === undefined) throw new TypeError('the model does not generate');
    return this.#context;
  }

  /** After whatever decodes, and before what comes later. */
  #exclusively<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  #applyThreads(context: FfiContext): void {
    if (this.#threads === this.#wantedThreads) return;
    context.setThreads(this.#wantedThreads, this.#pool);
    this.#threads = this.#wantedThreads;
  }

  #own(sequence: Sequence): FfiSequence {
    const own = sequence instanceof FfiSequence ? this.sequences[sequence.id] : undefined;
    if (own === undefined || own !== sequence) throw new TypeError('a sequence of another driver');
    return own;
  }
}

/** The sampler of a request, as the scheduler holds it. */
class RequestSampler implements Sampler {
  readonly sequence: Sequence;
  readonly #sampler: FfiSampler;

  constructor(sampler: FfiSampler, sequence: Sequence) {
    this.#sampler = sampler;
    this.sequence = sequence;
  }

  /** Whether choosing may take long. */
  get isSlow(): boolean {
    return this.#sampler.isSlow;
  }

  /**
   * Chooses what follows each place as long as the draft was right.
   *
   * @param first The place of the last token before the draft.
   */
  async choose(
    first: number,
    draft: readonly number[],
    model: FfiModel,
  ): Promise<{ readonly tokens: readonly SampledToken[]; readonly kept: number; readonly ended: boolean }> {
    const tokens: SampledToken[] = [];
    for (let place = 0; place <= draft.length; place += 1) {
      const sampled = await this.#sampler.sample(first + place);
      if (model.isEnd(sampled.token)) return { tokens, kept: place, ended: true };
      tokens.push(sampled);
      if (sampled.token !== draft[place]) return { tokens, kept: place, ended: false };
    }
    return { tokens, kept: draft.length, ended: false };
  }

  async end(): Promise<void> {
    this.#sampler.free();
  }
}

/** Threads at most. From three cores on, one is left to the editor and to whoever else works here. */
function chooseWidest(wanted: number | undefined): number {
  const cores = os.availableParallelism();
  const spare = cores > 2 ? cores - 1 : cores;
  return Math.max(1, Math.min(wanted ?? mostThreads, wanted === undefined ? spare : cores));
}

/** `outcome`, or that it is pending where it takes too long for the others to wait. */
async function patiently(outcome: Promise<StepOutcome>): Promise<StepOutcome> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<StepOutcome>((resolve) => {
    timer = setTimeout(resolve, patienceMs, { kind: 'pending', outcome });
  });
  const first = await Promise.race([outcome, late]);
  clearTimeout(timer);
  return first;
}

function chooseSeed(seed: number | undefined): number {
  if (seed === undefined) return randomInt(randomSeed);
  return seed === randomSeed ? randomSeed - 1 : seed;
}

function refuseUnknownToken(token: number, vocabularySize: number): void {
  if (token < vocabularySize) return;
  throw new RequestError(
    'invalid_request',
    `logit_bias: this model's tokens are 0 to ${vocabularySize - 1}; there is no ${token}.`,
  );
}
