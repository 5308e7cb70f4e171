import { randomInt } from 'node:crypto';
import os from 'node:os';
import type { ResolvedGeneration } from '@hearth/protocol';
import type {
  Llama,
  LlamaContext,
  LlamaContextSequence,
  LlamaGrammarEvaluationState,
  LlamaModel,
  SequenceEvaluateOptions,
  Token,
  TokenBias,
} from 'node-llama-cpp';
import { type GpuKind, kindNames } from '../../../../accelerators/kinds.js';
import { calibrateThreads } from '../calibrate.js';
import type {
  Driver,
  DriverAbilities,
  Embedder,
  Grammar,
  PreparedRequest,
  ResolvedSampling,
  Sampler,
  Sequence,
  StepItem,
  StepOutcome,
} from '../driver.js';
import { refuseGrammar } from '../grammar-guard.js';
import { LoadError, mostThreads, randomSeed } from '../load.js';
import type { LoadProgress } from '../load.js';
import type { GpuInfo, LoadOrder, LoadedInfo, ThreadChoice } from '../messages.js';
import { PromptBuilder } from '../prompting/prompt-builder.js';
import { RequestError } from '../request-error.js';
import { refuseUnsupported } from '../unsupported.js';
import type { SamplingPart } from '../unsupported.js';
import { AddonEmbedder } from './addon-embedder.js';
import { addonVocabulary } from './addon-vocabulary.js';
import { offerGpuPackage } from './gpu-package.js';

/**
 * Loads a model through node-llama-cpp's own API: the driver for every release and model that it knows.
 *
 * @throws LoadError with what to tell the user.
 */
export async function loadAddonDriver(
  order: LoadOrder,
  report: (progress: LoadProgress) => void,
): Promise<Driver> {
  const complaints = new Complaints();
  const { gpu } = order;
  if (gpu?.folder !== undefined) offerGpuPackage(gpu.folder);
  // Loaded only where it is wanted: it takes a second.
  const library = await import('node-llama-cpp');
  const { LlamaLogLevel, getLlama } = library;
  try {
    const threads = Math.max(1, Math.min(order.threads ?? mostThreads, os.availableParallelism()));
    const llama = await getLlama({
      gpu: gpu?.kind ?? false,
      build: 'never',
      skipDownload: true,
      maxThreads: threads,
      logLevel: LlamaLogLevel.error,
      logger: (_level, message) => {
        complaints.hear(message);
      },
    });
    const card = gpu === undefined ? undefined : await describeCard(llama, gpu.kind);
    let isLoaded = false;
    const model = await llama.loadModel({
      modelPath: order.path,
      gpuLayers: gpu?.layers ?? 0,
      onLoadProgress: (progress) => {
        // The library may still tell of a load that it has ended.
        if (isLoaded) return;
        report({ phase: 'mmap', progress: Math.min(1, Math.max(0, progress)) });
      },
    });
    isLoaded = true;
    report({ phase: 'kv_cache' });
    const context = await model.createContext({
      sequences: order.sequences,
      contextSize: order.contextSize,
      threads,
      ...(order.keyValueType === 'q8_0' ? quantisedContext : {}),
    });
    const driver = new AddonDriver(library, llama, model, context, order, card);
    if (order.threads === undefined && order.measured !== undefined) driver.remember(order.measured);
    else if (order.threads === undefined) await driver.calibrate(Math.min(threads, llama.cpuMathCores));
    return driver;
  } catch (error) {
    throw explainLoadFailure(error, complaints, order, library);
  }
}

const quantisedContext = {
  flashAttention: true,
  experimentalKvCacheKeyType: 'Q8_0',
  experimentalKvCacheValueType: 'Q8_0',
} as const;

/** @throws LoadError where it computes with something else. */
async function describeCard(llama: Llama, kind: GpuKind): Promise<GpuInfo> {
  const names = llama.gpu === kind ? await llama.getGpuDeviceNames() : [];
  const [first] = names;
  if (first === undefined) {
    throw new LoadError('backend_unavailable', `No graphics card was found that ${kindNames[kind]} can use.`);
  }
  const { total, free } = await llama.getVramState();
  const device = names.length === 1 ? first : `${first} and ${String(names.length - 1)} more`;
  return { kind, device: device.slice(0, 128), totalBytes: total, freeBytes: free };
}

type Library = typeof import('node-llama-cpp');

/** What node-llama-cpp's sampling has beside the usual. */
const samplingParts: readonly SamplingPart[] = [
  'repeat_penalty',
  'presence_penalty',
  'frequency_penalty',
  'dry_multiplier',
  'xtc_probability',
  'logit_bias',
];

/** A bias of so much bans the token. */
const bans = -100;

/** A prompt goes in pieces of so many tokens: none of them can be ended from outside. */
const stepTokens = 64;

class AddonDriver implements Driver {
  readonly abilities: DriverAbilities;
  readonly embedder: Embedder;
  /** It saves none. */
  readonly stateKey = '';
  readonly isSpent = false;
  readonly sequences: readonly AddonSequence[];
  readonly #card: GpuInfo | undefined;
  readonly #library: Library;
  readonly #llama: Llama;
  readonly #model: LlamaModel;
  readonly #context: LlamaContext;
  readonly #prompts: PromptBuilder;
  #choice: Pick<LoadedInfo, 'choice' | 'choiceFrom'> = {};
  readonly #order: LoadOrder;

  constructor(
    library: Library,
    llama: Llama,
    model: LlamaModel,
    context: LlamaContext,
    order: LoadOrder,
    card: GpuInfo | undefined,
  ) {
    this.#card = card;
    this.#library = library;
    this.#llama = llama;
    this.#model = model;
    this.#context = context;
    this.#order = order;
    this.abilities = {
      mostThreads: llama.maxThreads,
      stepTokens,
      promptTokens: stepTokens,
      interrupts: false,
      copies: false,
      draftTokens: 0,
    };
    this.#prompts = new PromptBuilder(addonVocabulary(model));
    this.embedder = new AddonEmbedder(model, order.contextSize);
    this.sequences = Array.from({ length: order.sequences }, () => new AddonSequence(context));
  }

  get info(): LoadedInfo {
    return {
      contextSize: Math.min(this.#order.contextSize, this.#context.contextSize),
      infill: this.#prompts.infill,
      threads: this.#llama.maxThreads,
      ...this.#choice,
      batch: { tokens: stepTokens, from: 'fixed' },
      ...(this.#order.draft === undefined
        ? {}
        : {
            draft: {
              problem: 'node-llama-cpp drives the model, and tokens are guessed by the other driver only.',
            },
          }),
      driver: 'addon',
      ...(this.#card === undefined ? {} : { gpu: this.#card }),
      embedder: this.embedder.info,
      tools: true,
      thinking: this.#prompts.thinking,
    };
  }

  async prepare(request: ResolvedGeneration): Promise<PreparedRequest> {
    const { sampling } = request;
    refuseUnsupported(request, samplingParts);
    const prompt = this.#prompts.build(request, {
      contextSize: this.info.contextSize,
      maxTokens: sampling.maxTokens,
      longestTokenBytes: this.#order.longestTokenBytes,
    });
    return {
      tokens: prompt.tokens,
      stopTokens: prompt.stopTokens,
      stopTexts: [...sampling.stop, ...prompt.stopTexts],
      sampling: { ...sampling, seed: chooseSeed(sampling.seed) },
      grammar: prompt.grammar === undefined ? undefined : await this.#parseGrammar(prompt.grammar),
      answer: prompt.answer,
      grammarText: prompt.grammar,
      tokenizeMarks: (text) => this.#prompts.tokenizeMarks(text),
    };
  }

  countTokens(text: string): number {
    return this.#model.tokenize(text, false).length;
  }

  tokenize(text: string): readonly number[] {
    return this.#model.tokenize(text, false);
  }

  detokenize(tokens: readonly number[], before: readonly number[], marks?: 'shown'): string {
    return this.#model.detokenize(tokens.map(asToken), marks === 'shown', before.map(asToken));
  }

  setThreads(count: number): void {
    if (this.#llama.maxThreads !== count) this.#llama.maxThreads = count;
  }

  startSampling(sequence: Sequence, { sampling, grammar }: PreparedRequest): Sampler {
    const options = this.#optionsOf(this.#own(sequence), sampling);
    const state = this.#stateOf(grammar);
    return new AddonSampler(
      this.#own(sequence),
      state === undefined ? options : { ...options, grammarEvaluationState: state },
    );
  }

  /** Calls that are made in one turn of the event loop share a batch. */
  async step(items: readonly StepItem[]): Promise<readonly StepOutcome[]> {
    return Promise.all(
      items.map(async ({ sequence, tokens, sampler }): Promise<StepOutcome> => {
        try {
          if (sampler instanceof AddonSampler) {
            const token = await sampler.next(tokens);
            return {
              kind: 'sampled',
              tokens: token === undefined ? [] : [{ token }],
              ended: token === undefined,
            };
          }
          await this.#own(sequence).prefill(tokens);
          return { kind: 'evaluated' };
        } catch (error) {
          return { kind: 'failed', error };
        }
      }),
    );
  }

  interrupt(): void {
    // node-llama-cpp ends no decode that has begun.
  }

  #optionsOf(sequence: AddonSequence, sampling: ResolvedSampling): SequenceEvaluateOptions {
    const { penalties, dry, xtc, logitBias } = sampling;
    const { repeat, presence, frequency, lastN } = penalties;
    const isPunished = lastN > 0 && (repeat !== 1 || presence !== 0 || frequency !== 0);
    return {
      temperature: sampling.temperature,
      topK: sampling.topK,
      topP: sampling.topP,
      minP: sampling.minP,
      seed: sampling.seed,
      ...(isPunished
        ? {
            repeatPenalty: {
              punishTokens: () => sequence.tokens().slice(-lastN).map(asToken),
              maxPunishTokens: lastN,
              penalty: repeat,
              presencePenalty: presence,
              frequencyPenalty: frequency,
            },
          }
        : {}),
      ...(dry === undefined
        ? {}
        : {
            dryRepeatPenalty: {
              strength: dry.multiplier,
              base: dry.base,
              allowedLength: dry.allowedLength,
              lastTokens: dry.lastN,
            },
          }),
      ...(xtc === undefined ? {} : { xtc }),
      ...(logitBias.length === 0 ? {} : { tokenBias: this.#biasOf(logitBias) }),
    };
  }

  #biasOf(biases: ResolvedSampling['logitBias']): TokenBias {
    const bias = this.#library.TokenBias.for(this.#model);
    for (const { token, bias: amount } of biases) {
      bias.set(asToken(token), amount <= bans ? 'never' : { logit: amount });
    }
    return bias;
  }

  #own(sequence: Sequence): AddonSequence {
    if (!(sequence instanceof AddonSequence)) throw new TypeError('a sequence of another driver');
    return sequence;
  }

  #stateOf(grammar: Grammar | undefined): LlamaGrammarEvaluationState | undefined {
    const state = grammar?.driver;
    return state instanceof this.#library.LlamaGrammarEvaluationState ? state : undefined;
  }

  loseCalls(): void {
    for (const sequence of this.sequences) sequence.loseCall();
  }

  /** Takes what was measured before. */
  remember(choice: ThreadChoice): void {
    this.#choose(choice, 'remembered');
  }

  #choose(
    { threads, narrowMs, wideMs }: ThreadChoice,
    choiceFrom: NonNullable<LoadedInfo['choiceFrom']>,
  ): void {
    this.setThreads(threads);
    this.#choice = { choice: { threads: this.info.threads, narrowMs, wideMs }, choiceFrom };
  }

  /** Times a few steps at each width and keeps the fastest. */
  async calibrate(most: number): Promise<void> {
    const [sequence] = this.sequences;
    const token = this.#model.tokens.bos ?? this.#model.tokens.eos ?? asToken(0);
    if (sequence === undefined || most < 2) {
      this.setThreads(1);
      return;
    }
    const calibration = await calibrateThreads(async (count) => {
      this.setThreads(count);
      if (sequence.tokens().length >= this.info.contextSize - 2) await sequence.truncate(0);
      const start = performance.now();
      await sequence.prefill([token]);
      return performance.now() - start;
    }, most);
    this.#choose(calibration, calibration.quiet ? 'measured' : 'measured_busy');
    await sequence.truncate(0);
  }

  async #parseGrammar(text: string): Promise<Grammar> {
    const refusal = refuseGrammar(text);
    if (refusal !== undefined) throw new RequestError('invalid_request', refusal);
    try {
      const grammar = await this.#llama.createGrammar({ grammar: text });
      return { driver: new this.#library.LlamaGrammarEvaluationState({ model: this.#model, grammar }) };
    } catch (error) {
      throw new RequestError(
        'invalid_request',
        'The grammar is not valid GBNF, or has no rule called root.',
        {
          cause: error,
        },
      );
    }
  }
}

class AddonSequence implements Sequence {
  readonly #context: LlamaContext;
  #sequence: LlamaContextSequence;
  /** Fails the call in progress; undefined where none is that could be lost. */
  #lose: (() => void) | undefined;

  constructor(context: LlamaContext) {
    this.#context = context;
    this.#sequence = context.getSequence();
  }

  tokens(): readonly number[] {
    return this.#sequence.contextTokens;
  }

  async truncate(length: number): Promise<void> {
    const end = this.#sequence.nextTokenIndex;
    if (length < end) await this.#sequence.eraseContextTokenRanges([{ start: length, end }]);
  }

  async reset(): Promise<void> {
    this.#lose = undefined;
    // A lost call keeps the lock of its sequence for ever, so another one takes its place.
    await this.#sequence.dispose();
    this.#sequence = this.#context.getSequence();
  }

  /** Fails the call in progress if it can be one that never comes back. Only sampling with a grammar can. */
  loseCall(): void {
    this.#lose?.();
  }

  async prefill(tokens: readonly number[]): Promise<void> {
    await this.#sequence.evaluateWithoutGeneratingNewTokens(tokens.map(asToken));
  }

  copyFrom(): boolean {
    return false;
  }

  save(): Uint8Array | undefined {
    return undefined;
  }

  load(): boolean {
    return false;
  }

  evaluate(tokens: readonly number[], options: SequenceEvaluateOptions): AsyncGenerator<Token, void> {
    return this.#sequence.evaluate(tokens.map(asToken), options);
  }

  /** `call`, or a failure once it is given up for lost. */
  async losable<Result>(call: Promise<Result>): Promise<Result> {
    const lost = new Promise<never>((_, reject) => {
      this.#lose = () => {
        reject(
          new RequestError(
            'invalid_request',
            'The grammar allows nothing here that this model can write. Change the grammar, or leave it out.',
          ),
        );
      };
    });
    try {
      return await Promise.race([call, lost]);
    } finally {
      this.#lose = undefined;
    }
  }
}

/** One generation of node-llama-cpp's, which evaluates by itself each token that it has given. */
class AddonSampler implements Sampler {
  readonly #sequence: AddonSequence;
  readonly #options: SequenceEvaluateOptions;
  readonly #constrained: boolean;
  #iterator: AsyncGenerator<Token, void> | undefined;

  constructor(sequence: AddonSequence, options: SequenceEvaluateOptions) {
    this.#sequence = sequence;
    this.#options = options;
    this.#constrained = options.grammarEvaluationState !== undefined;
  }

  /** The token after `tokens`, or undefined where the model has ended. */
  async next(tokens: readonly number[]): Promise<number | undefined> {
    this.#iterator ??= this.#sequence.evaluate(tokens, this.#options);
    try {
      const call = this.#iterator.next();
      const step = await (this.#constrained ? this.#sequence.losable(call) : call);
      return step.done === true ? undefined : step.value;
    } catch (error) {
      // A lost call never comes back, and neither would the end of its iterator.
      this.#iterator = undefined;
      throw error;
    }
  }

  async end(): Promise<void> {
    await this.#iterator?.return();
  }
}

function chooseSeed(seed: number | undefined): number {
  if (seed === undefined) return randomInt(randomSeed);
  return seed === randomSeed ? randomSeed - 1 : seed;
}

/** The last error texts of llama.cpp, for {@link explainLoadFailure} alone: they may hold a path. */
class Complaints {
  #last: string[] = [];

  hear(message: string): void {
    this.#last = [...this.#last, message.slice(0, 500)].slice(-20);
  }

  match(pattern: RegExp): string | undefined {
    for (const message of this.#last) {
      const found = pattern.exec(message)?.[1];
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function explainLoadFailure(
  error: unknown,
  complaints: Complaints,
  order: LoadOrder,
  library: Pick<Library, 'InsufficientMemoryError' | 'NoBinaryFoundError'>,
): LoadError {
  if (error instanceof LoadError) return error;
  if (order.gpu !== undefined && error instanceof library.NoBinaryFoundError) {
    return new LoadError(
      'backend_unavailable',
      `The build for ${kindNames[order.gpu.kind]} does not work on this machine.`,
      { cause: error },
    );
  }
  if (error instanceof library.InsufficientMemoryError) {
    return new LoadError(
      'insufficient_memory',
      `There is not enough free memory for this model with ${order.sequences} × ${order.contextSize} tokens of context. Use a smaller model, or fewer --active-permits.`,
      { cause: error },
    );
  }
  const architecture = complaints.match(/unknown model architecture: '([\w.-]{1,64})'/u);
  const reason =
    architecture === undefined
      ? 'The engine could not load the model file; it may be damaged or made for a newer engine. Try another file.'
      : `The engine does not know models of the architecture "${architecture}". Update Hearth, or use another model.`;
  return new LoadError('model_load_failed', reason, { cause: error });
}

/** node-llama-cpp brands its token ids; every id here came from it. */
function asToken(token: number): Token {
  return token as Token;
}
