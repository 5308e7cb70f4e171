import { randomInt } from 'node:crypto';
import os from 'node:os';
import type { ErrorCode, ResolvedGeneration } from '@hearth/protocol';
import {
  InsufficientMemoryError,
  LlamaGrammarEvaluationState,
  LlamaLogLevel,
  getLlama,
} from 'node-llama-cpp';
import type { Llama, LlamaContext, LlamaContextSequence, LlamaModel, Token } from 'node-llama-cpp';
import { calibrateThreads } from '../calibrate.js';
import type { Decoder, Driver, Grammar, PreparedRequest, ResolvedSampling, Sequence } from '../driver.js';
import { refuseGrammar } from '../grammar-guard.js';
import type { LoadOrder, LoadedInfo } from '../messages.js';
import { PromptBuilder } from '../prompting/prompt-builder.js';
import { RequestError } from '../request-error.js';
import { refuseUnsupported } from '../unsupported.js';
import { addonVocabulary } from './addon-vocabulary.js';

/** Where a load has got to. */
export type LoadProgress =
  { readonly phase: 'mmap'; readonly progress: number } | { readonly phase: 'kv_cache' };

/** The model cannot be served. `message` holds no path. */
export class LoadError extends Error {
  override readonly name = 'LoadError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}

/** Most threads that are ever used: beyond this memory is the limit. */
const mostThreads = 8;

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
  try {
    const threads = Math.max(1, Math.min(order.threads ?? mostThreads, os.availableParallelism()));
    const llama = await getLlama({
      gpu: false,
      build: 'never',
      skipDownload: true,
      maxThreads: threads,
      logLevel: LlamaLogLevel.error,
      logger: (_level, message) => {
        complaints.hear(message);
      },
    });
    let isLoaded = false;
    const model = await llama.loadModel({
      modelPath: order.path,
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
    });
    const driver = new AddonDriver(llama, model, context, order);
    if (order.threads === undefined) await driver.calibrate(Math.min(threads, llama.cpuMathCores));
    return driver;
  } catch (error) {
    throw explainLoadFailure(error, complaints, order);
  }
}

class AddonDriver implements Driver {
  readonly sequences: readonly AddonSequence[];
  readonly #llama: Llama;
  readonly #model: LlamaModel;
  readonly #context: LlamaContext;
  readonly #prompts: PromptBuilder;
  readonly #order: LoadOrder;

  constructor(llama: Llama, model: LlamaModel, context: LlamaContext, order: LoadOrder) {
    this.#llama = llama;
    this.#model = model;
    this.#context = context;
    this.#order = order;
    this.#prompts = new PromptBuilder(addonVocabulary(model));
    this.sequences = Array.from({ length: order.sequences }, () => new AddonSequence(context));
  }

  get info(): LoadedInfo {
    return {
      contextSize: Math.min(this.#order.contextSize, this.#context.contextSize),
      infill: this.#prompts.infill,
      threads: this.#llama.maxThreads,
    };
  }

  async prepare(request: ResolvedGeneration): Promise<PreparedRequest> {
    const { sampling, format } = request;
    refuseUnsupported(request);
    const prompt = this.#prompts.build(request.input, {
      contextSize: this.info.contextSize,
      maxTokens: sampling.maxTokens,
      longestTokenBytes: this.#order.longestTokenBytes,
    });
    return {
      tokens: prompt.tokens,
      stopTokens: prompt.stopTokens,
      stopTexts: [...sampling.stop, ...prompt.stopTexts],
      sampling: { ...sampling, seed: chooseSeed(sampling.seed) },
      grammar: format.kind === 'gbnf' ? await this.#parseGrammar(format.grammar) : undefined,
    };
  }

  countTokens(text: string): number {
    return this.#model.tokenize(text, false).length;
  }

  detokenize(tokens: readonly number[], before: readonly number[]): string {
    return this.#model.detokenize(tokens.map(asToken), false, before.map(asToken));
  }

  setThreads(count: number): void {
    if (this.#llama.maxThreads !== count) this.#llama.maxThreads = count;
  }

  loseCalls(): void {
    for (const sequence of this.sequences) sequence.loseCall();
  }

  /** Times a few steps at each width and keeps the fastest. */
  async calibrate(most: number): Promise<void> {
    const [sequence] = this.sequences;
    const token = this.#model.tokens.bos ?? this.#model.tokens.eos ?? asToken(0);
    if (sequence === undefined || most < 2) {
      this.setThreads(1);
      return;
    }
    const threads = await calibrateThreads(async (count) => {
      this.setThreads(count);
      if (sequence.tokens().length >= this.info.contextSize - 2) await sequence.truncate(0);
      const start = performance.now();
      await sequence.prefill([token]);
      return performance.now() - start;
    }, most);
    this.setThreads(threads);
    await sequence.truncate(0);
  }

  async #parseGrammar(text: string): Promise<Grammar> {
    const refusal = refuseGrammar(text);
    if (refusal !== undefined) throw new RequestError('invalid_request', refusal);
    try {
      const grammar = await this.#llama.createGrammar({ grammar: text });
      return { driver: new LlamaGrammarEvaluationState({ model: this.#model, grammar }) };
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

  decode(tokens: readonly number[], sampling: ResolvedSampling, grammar: Grammar | undefined): Decoder {
    const state = grammar?.driver;
    const constrained = state instanceof LlamaGrammarEvaluationState;
    const iterator = this.#sequence.evaluate(tokens.map(asToken), {
      temperature: sampling.temperature,
      topK: sampling.topK,
      topP: sampling.topP,
      minP: sampling.minP,
      seed: sampling.seed,
      ...(constrained ? { grammarEvaluationState: state } : {}),
    });
    return {
      next: async () => {
        const step = await (constrained ? this.#losable(iterator.next()) : iterator.next());
        return step.done === true ? undefined : step.value;
      },
      end: async () => {
        await iterator.return();
      },
    };
  }

  /** `call`, or a failure once it is given up for lost. */
  async #losable<Result>(call: Promise<Result>): Promise<Result> {
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

/** llama.cpp takes the largest seed to mean a random one. */
const randomSeed = 0xff_ff_ff_ff;

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

function explainLoadFailure(error: unknown, complaints: Complaints, order: LoadOrder): LoadError {
  if (error instanceof LoadError) return error;
  if (error instanceof InsufficientMemoryError) {
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
