import type { LlamaEmbeddingContext, LlamaModel, LlamaRankingContext, Token } from 'node-llama-cpp';
import type { Embedder } from '../driver.js';
import type { EmbedderInfo } from '../messages.js';
import { RequestError } from '../request-error.js';

const mostTokens = 2048;
const poolings = new Map<unknown, EmbedderInfo['pooling']>([
  [1, 'mean'],
  [2, 'first'],
  [3, 'last'],
  [4, 'rank'],
]);

/** Vectors and scores through node-llama-cpp, from contexts that are made when the first is asked for. */
export class AddonEmbedder implements Embedder {
  readonly info: EmbedderInfo;
  readonly #model: LlamaModel;
  #vectors: Promise<LlamaEmbeddingContext> | undefined;
  #scores: Promise<LlamaRankingContext> | undefined;

  constructor(model: LlamaModel, contextSize: number) {
    this.#model = model;
    const said = poolings.get(poolingType(model));
    this.info = {
      only: said !== undefined,
      gives: said === 'rank' ? 'scores' : 'vectors',
      dimensions: said === 'rank' ? 1 : model.embeddingVectorSize,
      pooling: said ?? 'last',
      contextSize: Math.min(contextSize, mostTokens),
    };
  }

  tokenize(text: string): readonly number[] {
    const { tokens } = this.#model;
    const begin = tokens.shouldPrependBosToken && tokens.bos !== null ? [tokens.bos] : [];
    const end = tokens.shouldAppendEosToken && tokens.eos !== null ? [tokens.eos] : [];
    return [...begin, ...this.#model.tokenize(text), ...end];
  }

  async embed(tokens: readonly number[]): Promise<Float32Array> {
    if (this.info.gives !== 'vectors') {
      throw new RequestError('unsupported', 'This model gives scores for pairs of texts and no vectors.');
    }
    this.#checkLength(tokens.length);
    this.#vectors ??= this.#model.createEmbeddingContext({
      contextSize: this.info.contextSize,
      batchSize: this.info.contextSize,
    });
    const context = await this.#vectors;
    const { vector } = await context.getEmbeddingFor(tokens.map((token) => token as Token));
    return Float32Array.from(vector);
  }

  async score(query: string, document: string): Promise<{ readonly score: number; readonly tokens: number }> {
    if (this.info.gives !== 'scores') {
      throw new RequestError('unsupported', 'This model gives vectors and no scores for pairs of texts.');
    }
    this.#scores ??= this.#model.createRankingContext({
      contextSize: this.info.contextSize,
      batchSize: this.info.contextSize,
    });
    const context = await this.#scores;
    const tokens = context.calculateInputLength(query, document);
    this.#checkLength(tokens);
    return { score: await context.rank(query, document), tokens };
  }

  #checkLength(tokens: number): void {
    const { contextSize } = this.info;
    if (tokens === 0) throw new RequestError('invalid_request', 'The text is empty.');
    if (tokens < contextSize) return;
    throw new RequestError(
      'invalid_request',
      `The text has ${tokens} tokens; fewer than ${contextSize} fit. Shorten it.`,
    );
  }
}

function poolingType(model: LlamaModel): unknown {
  const { metadata } = model.fileInfo;
  const section: unknown = Reflect.get(metadata, metadata.general.architecture);
  return typeof section === 'object' && section !== null ? Reflect.get(section, 'pooling_type') : undefined;
}
