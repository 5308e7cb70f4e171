import type { Embedder } from '../driver.js';
import type { EmbedderInfo } from '../messages.js';
import { RequestError } from '../request-error.js';
import { FfiContext } from './ffi-context.js';
import type { FfiModel } from './ffi-model.js';
import type { Pooling } from './pooling.js';
import type { Threadpool } from './threadpool.js';

/** Most tokens of one text: the whole of it goes in one batch, whose memory grows with it. */
const mostTokens = 2048;
/** Architectures whose ranks are probabilities already. */
const normalised = /^qwen3/u;

/** What an {@link FfiEmbedder} is made with. */
export interface EmbedderOptions {
  readonly pooling: Pooling;
  readonly contextSize: number;
  readonly pool: Threadpool | undefined;
  /** Threads for the next text. */
  threads(): number;
  /** Runs `work` when no decode is in progress, and none begins meanwhile: they would fight for the cores. */
  exclusively<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** Vectors and scores from a context of their own, which is made when the first is asked for. */
export class FfiEmbedder implements Embedder {
  readonly info: EmbedderInfo;
  readonly #model: FfiModel;
  readonly #options: EmbedderOptions;
  readonly #architecture: string;
  #context: Promise<FfiContext> | undefined;

  constructor(model: FfiModel, options: EmbedderOptions) {
    const { pooling, contextSize } = options;
    this.#model = model;
    this.#options = options;
    this.#architecture = model.metadata('general.architecture') ?? '';
    this.info = {
      only: pooling.isTrained,
      gives: pooling.name === 'rank' ? 'scores' : 'vectors',
      dimensions: pooling.name === 'rank' ? 1 : model.native.embeddingWidth(model.pointer),
      pooling: pooling.name,
      contextSize: Math.min(contextSize, mostTokens),
    };
  }

  tokenize(text: string): readonly number[] {
    return this.#model.tokenize(text, false, true);
  }

  async embed(tokens: readonly number[]): Promise<Float32Array> {
    if (this.info.gives !== 'vectors') {
      throw new RequestError('unsupported', 'This model gives scores for pairs of texts and no vectors.');
    }
    return this.#evaluate(tokens, this.info.dimensions);
  }

  async score(query: string, document: string): Promise<{ readonly score: number; readonly tokens: number }> {
    if (this.info.gives !== 'scores') {
      throw new RequestError('unsupported', 'This model gives vectors and no scores for pairs of texts.');
    }
    const tokens = this.#pair(query, document);
    const outputs = Math.max(1, this.#model.native.rankOutputs(this.#model.pointer));
    const [first = 0] = await this.#evaluate(tokens, outputs);
    const score = normalised.test(this.#architecture) ? first : 1 / (1 + Math.exp(-first));
    return { score, tokens: tokens.length };
  }

  /** A query and a document as one text. Source: llama.cpp, `format_prompt_rerank` of its server. */
  #pair(query: string, document: string): readonly number[] {
    const model = this.#model;
    const template = model.metadata('tokenizer.chat_template.rerank');
    if (template !== undefined) {
      return template.split(/(\{query\}|\{document\})/u).flatMap((part) => {
        if (part === '{query}') return model.tokenize(query);
        return part === '{document}' ? model.tokenize(document) : model.tokenize(part, true);
      });
    }
    const token = (isWanted: boolean, name: 'begin' | 'end' | 'separator'): readonly number[] => {
      const id = model.special(name) ?? (name === 'end' ? model.special('separator') : undefined);
      return isWanted && id !== undefined ? [id] : [];
    };
    return [
      ...token(model.addsBegin, 'begin'),
      ...model.tokenize(query),
      ...token(model.addsEnd, 'end'),
      ...token(model.addsSeparator, 'separator'),
      ...model.tokenize(document),
      ...token(model.addsEnd, 'end'),
    ];
  }

  async #evaluate(tokens: readonly number[], width: number): Promise<Float32Array> {
    const { contextSize } = this.info;
    if (tokens.length === 0) throw new RequestError('invalid_request', 'The text is empty.');
    if (tokens.length > contextSize) {
      throw new RequestError(
        'invalid_request',
        `The text has ${tokens.length} tokens; at most ${contextSize} fit. Shorten it.`,
      );
    }
    return this.#options.exclusively(async () => {
      this.#context ??= this.#open();
      const context = await this.#context;
      context.setThreads(this.#options.threads(), this.#options.pool);
      const batch = tokens.map((token, position) => ({ token, sequence: 0, position, output: true }));
      const outcome = await context.decode(batch);
      if (outcome !== 'done') throw new Error(`the embedding ended as ${outcome}`);
      const vector = context.pooledEmbedding(0, width);
      context.clear();
      return vector;
    });
  }

  async #open(): Promise<FfiContext> {
    const { contextSize } = this.info;
    const context = await FfiContext.open(this.#model, {
      sequences: 1,
      contextSize,
      batchSize: contextSize,
      outputs: contextSize,
      threads: 1,
      pooling: this.#options.pooling.code,
    });
    if (context !== undefined) return context;
    this.#context = undefined;
    throw new RequestError('unavailable', 'There is not enough free memory for vectors of texts.');
  }
}
