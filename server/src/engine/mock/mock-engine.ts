import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { BackendState, ModelInfo, ResolvedGeneration } from '@hearth/protocol';
import type { EmbedInput, Embeddings, EngineCapabilities, Rendered, Scores } from '../encoding.js';
import {
  cannot,
  type Engine,
  type EngineChunk,
  type EngineEvents,
  EngineFailure,
  type EngineFailureKind,
} from '../engine.js';
import { continuation } from './known-document.js';
import { mockEmbeddings, mockScores } from './mock-encoding.js';
import { chooseAnswer, playAnswer, type ScriptedAnswer } from './mock-script.js';

/** The knobs of the mock engine (row 78). */
export interface MockOptions {
  /** @default ["mock-response"] */
  readonly tokens: readonly string[];
  /** A text that it knows by heart: it continues a prompt whose end stands there, in place of `tokens`. */
  readonly document: string | undefined;
  /** Milliseconds before each token. @default 0 */
  readonly tokenDelayMs: number;
  /** The stream breaks off after so many tokens, without an end. */
  readonly midStreamDropAfter: number | undefined;
  /** Each request fails so, before its first token. */
  readonly preStreamError:
    Extract<EngineFailureKind, 'not_ready' | 'invalid_request' | 'unavailable' | 'internal'> | undefined;
  /** Milliseconds from start to ready; -1: never. @default 0 */
  readonly readyAfterMs: number;
  /** @default "mock" */
  readonly name: string;
  /** Answers to play in place of `tokens`; where none fits, `tokens` are played. @default [] */
  readonly script: readonly ScriptedAnswer[];
  /** @default {@link mockCapabilities} */
  readonly capabilities: EngineCapabilities;
}

/** Everything but looking at pictures. */
export const mockCapabilities: EngineCapabilities = {
  generate: true,
  embed: true,
  rerank: true,
  tokenize: true,
  vision: false,
  tools: true,
  thinking: true,
  infill: true,
};

export const defaultMockOptions: MockOptions = {
  tokens: ['mock-response'],
  document: undefined,
  tokenDelayMs: 0,
  midStreamDropAfter: undefined,
  preStreamError: undefined,
  readyAfterMs: 0,
  name: 'mock',
  script: [],
  capabilities: mockCapabilities,
};

/**
 * An engine without a model, for tests of everything around an engine. It is there only when it is asked for by
 * name (row 84). Its usage counts the tokens it emitted, and no prompt tokens.
 */
export class MockEngine implements Engine {
  readonly name: string;
  readonly accelerator = 'cpu';
  readonly gpuLayers = 0;
  readonly workerPid = undefined;
  readonly tokensPerSecond = undefined;
  readonly events = new EventEmitter<EngineEvents>();
  readonly #options: MockOptions;
  #state: BackendState = { kind: 'starting' };
  #readyTimer: NodeJS.Timeout | undefined;
  #generateCalls = 0;
  #running = 0;
  #mostRunning = 0;

  constructor(options: Partial<MockOptions> = {}) {
    this.#options = { ...defaultMockOptions, ...options };
    this.name = this.#options.name;
  }

  get capabilities(): EngineCapabilities {
    return this.#options.capabilities;
  }

  get state(): BackendState {
    return this.#state;
  }

  get model(): ModelInfo | undefined {
    return {
      id: this.name,
      displayName: 'Mock engine (no model)',
      contextSize: 8192,
      sizeBytes: 0,
      infill: true,
      caution: 'This is the mock engine: it plays back fixed tokens and has no model.',
    };
  }

  /** How often {@link generate} was called: one request is one attempt (row 24). */
  get generateCalls(): number {
    return this.#generateCalls;
  }

  /** The most generations, and works on vectors and scores, that ever ran at once (rows 59, 64). */
  get mostRunning(): number {
    return this.#mostRunning;
  }

  start(): void {
    if (this.#readyTimer !== undefined || this.#state.kind !== 'starting') return;
    const { readyAfterMs } = this.#options;
    if (readyAfterMs < 0) return;
    this.#readyTimer = setTimeout(() => {
      this.setReady(true);
    }, readyAfterMs);
  }

  /** Makes it ready, or not ready again. */
  setReady(ready: boolean): void {
    this.#setState(ready ? { kind: 'ready' } : { kind: 'starting' });
  }

  async *generate(request: ResolvedGeneration, signal: AbortSignal): AsyncIterable<EngineChunk> {
    this.#generateCalls += 1;
    const { preStreamError, midStreamDropAfter, document } = this.#options;
    const tokens =
      document === undefined
        ? this.#options.tokens
        : continuation(document, request.input, request.sampling.stop, request.sampling.seed ?? 0);
    this.#requireReady();
    if (!this.#options.capabilities.generate) throw cannot('generate');
    if (preStreamError !== undefined)
      throw new EngineFailure(preStreamError, `mock failure: ${preStreamError}`);

    this.#running += 1;
    this.#mostRunning = Math.max(this.#mostRunning, this.#running);
    try {
      const answer = chooseAnswer(this.#options.script, request.input);
      if (answer !== undefined) {
        yield* this.#play(answer, request, signal);
        return;
      }
      const wanted = tokens.slice(0, request.sampling.maxTokens);
      let emitted = 0;
      for (const text of wanted) {
        if (emitted === midStreamDropAfter) return;
        if (!(await this.#pause(signal))) {
          yield done('cancelled', emitted);
          return;
        }
        emitted += 1;
        yield { kind: 'token', text };
      }
      if (emitted === midStreamDropAfter) return;
      yield done(wanted.length < tokens.length ? 'length' : 'end', emitted);
    } finally {
      this.#running -= 1;
    }
  }

  countTokens(texts: readonly string[]): Promise<readonly number[]> {
    return Promise.resolve(texts.map((text) => text.split(/\s+/u).filter((word) => word !== '').length));
  }

  async embed(input: EmbedInput, signal: AbortSignal): Promise<Embeddings> {
    if (!this.#options.capabilities.embed) throw cannot('embed');
    await this.#work(signal);
    return mockEmbeddings(input);
  }

  async rerank(query: string, documents: readonly string[], signal: AbortSignal): Promise<Scores> {
    if (!this.#options.capabilities.rerank) throw cannot('rerank');
    await this.#work(signal);
    return mockScores(query, documents);
  }

  /** The bytes of the text. */
  tokenize(text: string): Promise<readonly number[]> {
    return Promise.resolve([...Buffer.from(text, 'utf8')]);
  }

  detokenize(tokens: readonly number[]): Promise<string> {
    if (tokens.every((token) => token < 256)) return Promise.resolve(Buffer.from(tokens).toString('utf8'));
    return Promise.reject(new EngineFailure('invalid_request', 'tokens: the vocabulary ends at 255'));
  }

  render({ input }: ResolvedGeneration): Promise<Rendered> {
    const prompt = input.kind === 'raw' ? input.prompt : JSON.stringify(input);
    return Promise.resolve({ prompt, promptTokens: Buffer.byteLength(prompt) });
  }

  stop(): Promise<void> {
    clearTimeout(this.#readyTimer);
    this.#setState({ kind: 'stopped' });
    return Promise.resolve();
  }

  async *#play(
    answer: ScriptedAnswer,
    request: ResolvedGeneration,
    signal: AbortSignal,
  ): AsyncGenerator<EngineChunk, void, void> {
    let emitted = 0;
    for (const chunk of playAnswer(answer, request)) {
      if (chunk.kind !== 'done' && !(await this.#pause(signal))) {
        yield done('cancelled', emitted);
        return;
      }
      if (chunk.kind !== 'prefill') emitted += 1;
      yield chunk;
    }
  }

  /** Takes the time of one token. @throws the signal's reason once it is aborted. */
  async #work(signal: AbortSignal): Promise<void> {
    this.#requireReady();
    this.#running += 1;
    this.#mostRunning = Math.max(this.#mostRunning, this.#running);
    try {
      if (!(await this.#pause(signal))) signal.throwIfAborted();
    } finally {
      this.#running -= 1;
    }
  }

  #requireReady(): void {
    if (this.#state.kind !== 'ready') throw new EngineFailure('not_ready', 'the mock engine is not ready');
  }

  /** Waits for the next token's time. False where `signal` ended the wait. */
  async #pause(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return false;
    if (this.#options.tokenDelayMs === 0) return true;
    try {
      await delay(this.#options.tokenDelayMs, undefined, { signal });
      return true;
    } catch {
      return false;
    }
  }

  #setState(state: BackendState): void {
    this.#state = state;
    this.events.emit('state', state);
  }
}

function done(stopReason: 'end' | 'length' | 'cancelled', emitted: number): EngineChunk {
  return { kind: 'done', stopReason, usage: { prompt_tokens: 0, completion_tokens: emitted } };
}
