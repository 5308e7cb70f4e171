import { EventEmitter } from 'node:events';
import type { BackendState, ModelInfo, ResolvedGeneration, StopReason, Usage } from '@hearth/protocol';
import { askModels, type ModelEntry } from '../../upstream/models.js';
import { Upstream } from '../../upstream/upstream.js';
import { type UpstreamError, upstreamErrorOf } from '../../upstream/upstream-error.js';
import {
  type Embeddings,
  type EngineCapabilities,
  generatorCapabilities,
  type Rendered,
  type Scores,
} from '../encoding.js';
import { cannot, type Engine, type EngineChunk, type EngineEvents, EngineFailure } from '../engine.js';
import { CallAssembly } from './completion-chunks.js';
import { CompletionFeed } from './completion-feed.js';
import { completionRequest } from './completion-request.js';

/** Where a remote engine is, and how it is spoken to. */
export interface RemoteOptions {
  /** @default "remote" */
  readonly name: string;
  /** `http:` or `https:`, without `/v1`. */
  readonly baseUrl: URL;
  /** The upstream's own name of the model; undefined: the first that it lists. */
  readonly model: string | undefined;
  /** Sent as a bearer token; empty or undefined: no `Authorization` at all (row 79). Never logged. */
  readonly apiKey: string | undefined;
  /** For the head of an answer, and between two pieces of it. @default 300 000 */
  readonly timeoutMs: number;
  /** Tokens of context; undefined: what the upstream says of itself, or 8192. */
  readonly contextSize: number | undefined;
  /** Whether `prompt` with `suffix` asks it for fill-in-the-middle. @default false */
  readonly infill: boolean;
  /** Whether it looks at images. @default false */
  readonly vision: boolean;
  /** Whether it knows llama.cpp's and vLLM's additions to OpenAI's API. @default false */
  readonly extensions: boolean;
}

export const defaultRemoteOptions = {
  name: 'remote',
  model: undefined,
  apiKey: undefined,
  timeoutMs: 300_000,
  contextSize: undefined,
  infill: false,
  vision: false,
  extensions: false,
} satisfies Partial<RemoteOptions>;

/** How long the upstream has to say which models it has, in milliseconds. */
const modelsMs = 5000;
/** Shortest answer whose speed is told, in seconds. */
const leastMeasured = 0.1;
/** Waits between two tries to reach an upstream that is not there, in milliseconds. */
const retryMs = [500, 1000, 2000, 5000, 10_000, 30_000];

/**
 * An OpenAI-compatible service as an engine (rows 79, 80). It is ready once the service has answered for its models;
 * one request is one attempt, and aborting it closes the connection to the service.
 */
export class RemoteEngine implements Engine {
  readonly name: string;
  readonly accelerator = 'cpu';
  readonly gpuLayers = 0;
  readonly workerPid = undefined;
  readonly events = new EventEmitter<EngineEvents>();
  readonly #options: RemoteOptions;
  readonly #upstream: Upstream;
  readonly #stopping = new AbortController();
  readonly #headers: readonly string[];
  #state: BackendState = { kind: 'starting' };
  #model: ModelInfo | undefined;
  #upstreamModel: string;
  #retry: NodeJS.Timeout | undefined;
  #started = false;
  #tokensPerSecond: number | undefined;

  constructor(options: Partial<RemoteOptions> & Pick<RemoteOptions, 'baseUrl'>) {
    this.#options = { ...defaultRemoteOptions, ...options };
    this.name = this.#options.name;
    this.#upstreamModel = this.#options.model ?? '';
    const { apiKey, timeoutMs } = this.#options;
    this.#headers = apiKey === undefined || apiKey === '' ? [] : ['Authorization', `Bearer ${apiKey}`];
    this.#upstream = new Upstream({ headersMs: timeoutMs, idleMs: timeoutMs });
  }

  get capabilities(): EngineCapabilities {
    // What the model behind it cannot do, the service says itself.
    return {
      ...generatorCapabilities,
      tokenize: false,
      tools: true,
      thinking: true,
      infill: this.#options.infill,
      vision: this.#options.vision,
    };
  }

  get state(): BackendState {
    return this.#state;
  }

  get model(): ModelInfo | undefined {
    return this.#model;
  }

  get tokensPerSecond(): number | undefined {
    return this.#tokensPerSecond;
  }

  start(): void {
    if (this.#started) return;
    this.#started = true;
    void this.#reach(0);
  }

  async *generate(request: ResolvedGeneration, signal: AbortSignal): AsyncIterable<EngineChunk> {
    if (this.#state.kind !== 'ready')
      throw new EngineFailure('not_ready', 'the remote service has not been reached yet');
    if (request.input.kind === 'infill' && !this.#options.infill) {
      throw new EngineFailure(
        'invalid_request',
        'this backend is a remote service that is not known to fill in the middle; set `infill` where it can',
      );
    }
    const { path, body } = completionRequest(request, {
      model: this.#upstreamModel,
      extensions: this.#options.extensions,
    });
    let tokens = 0;
    const cancelled = (): EngineChunk => ({
      kind: 'done',
      stopReason: 'cancelled',
      usage: { prompt_tokens: 0, completion_tokens: tokens },
    });
    // Asked anew each time: it changes while this waits.
    const isCancelled = (): boolean => signal.aborted;
    if (isCancelled()) {
      yield cancelled();
      return;
    }
    const feed = this.#ask(path, body);
    signal.addEventListener('abort', feed.cancel, { once: true });
    try {
      let firstAt: number | undefined;
      let stopReason: StopReason | undefined;
      let usage: Usage | undefined;
      const calls = new CallAssembly();
      for (;;) {
        const pieces = await feed.next();
        if (pieces === undefined) break;
        for (const piece of pieces) {
          if (isCancelled()) break;
          stopReason = piece.stopReason ?? stopReason;
          usage = piece.usage ?? usage;
          calls.add(piece.calls);
          if (piece.thinking !== '') yield { kind: 'thinking', text: piece.thinking };
          if (piece.text === '') continue;
          tokens += 1;
          firstAt ??= performance.now();
          yield { kind: 'token', text: piece.text };
        }
      }
      // A stream that ends before it said why has been cut off: without `done` the generator calls it a failure.
      if (stopReason === undefined) return;
      const called = calls.finish();
      for (const call of called) yield { kind: 'tool_call', call };
      usage ??= { prompt_tokens: 0, completion_tokens: tokens };
      this.#measure(usage.completion_tokens, firstAt);
      yield { kind: 'done', stopReason, usage, ...(called.length === 0 ? {} : { stopDetail: 'tool_use' }) };
    } catch (error) {
      if (isCancelled()) {
        yield cancelled();
        return;
      }
      throw error instanceof EngineFailure ? error : failureOf(upstreamErrorOf(error));
    } finally {
      signal.removeEventListener('abort', feed.cancel);
      feed.leave();
    }
  }

  embed(): Promise<Embeddings> {
    return Promise.reject(cannot('embed'));
  }

  rerank(): Promise<Scores> {
    return Promise.reject(cannot('rerank'));
  }

  tokenize(): Promise<readonly number[]> {
    return Promise.reject(cannot('tokenize'));
  }

  detokenize(): Promise<string> {
    return Promise.reject(cannot('tokenize'));
  }

  render(): Promise<Rendered> {
    return Promise.reject(cannot('tokenize'));
  }

  async countTokens(): Promise<readonly number[]> {
    throw new EngineFailure('unavailable', 'a remote service counts no tokens for others');
  }

  async stop(): Promise<void> {
    clearTimeout(this.#retry);
    this.#stopping.abort();
    this.#setState({ kind: 'stopped' });
    await this.#upstream.close();
  }

  #ask(path: string, body: Readonly<Record<string, unknown>>): CompletionFeed {
    const { origin, prefix } = this.#place();
    const feed = new CompletionFeed();
    feed.begin((sink) =>
      this.#upstream.pass(
        {
          method: 'POST',
          origin,
          path: `${prefix}${path}`,
          headers: ['Content-Type', 'application/json', 'Accept', 'text/event-stream', ...this.#headers],
          body: JSON.stringify(body),
        },
        sink,
      ),
    );
    return feed;
  }

  /** Asks for the models until there is an answer. */
  async #reach(attempt: number): Promise<void> {
    const { origin, prefix } = this.#place();
    const answer = await askModels(this.#upstream, origin, {
      within: modelsMs,
      headers: this.#headers,
      signal: this.#stopping.signal,
      prefix,
    });
    if (this.#stopping.signal.aborted) return;
    switch (answer.kind) {
      case 'models':
        this.#become(answer.models);
        return;
      case 'no_list':
        this.#become([]);
        return;
      case 'not_ready':
        if (answer.status === 401 || answer.status === 403) {
          this.#setState({
            kind: 'failed',
            code: 'backend_unavailable',
            reason: 'the remote service refuses the key; check the variable that `api_key_env` names',
          });
          return;
        }
        this.#tryAgain(attempt, `the remote service answers with status ${answer.status}`);
        return;
      case 'unreachable':
        this.#tryAgain(attempt, answer.error.message);
    }
  }

  #tryAgain(attempt: number, reason: string): void {
    const delayMs = retryMs[Math.min(attempt, retryMs.length - 1)] ?? 30_000;
    this.#setState({ kind: 'restarting', attempt: attempt + 1, delayMs, reason });
    this.#retry = setTimeout(() => void this.#reach(attempt + 1), delayMs);
  }

  #become(models: readonly ModelEntry[]): void {
    const { model, contextSize, infill, baseUrl } = this.#options;
    const wanted = model ?? models[0]?.id;
    if (wanted === undefined || (models.length > 0 && !models.some(({ id }) => id === wanted))) {
      this.#setState({
        kind: 'failed',
        code: 'model_not_found',
        reason: 'the remote service does not list that model; set `model` to one that it has',
      });
      return;
    }
    this.#upstreamModel = wanted;
    this.#model = {
      id: wanted,
      displayName: `${wanted} (remote)`,
      contextSize: contextSize ?? reportedContext(models.find(({ id }) => id === wanted)) ?? 8192,
      sizeBytes: 0,
      infill,
      ...(isLoopback(baseUrl)
        ? {}
        : { caution: 'Prompts leave this machine: this model runs at a remote service.' }),
    };
    this.#setState({ kind: 'ready' });
  }

  /** Origin, and what stands before `/v1` in the path. */
  #place(): { readonly origin: string; readonly prefix: string } {
    const { origin, pathname } = this.#options.baseUrl;
    return { origin, prefix: pathname.replace(/\/+$/, '').replace(/\/v1$/, '') };
  }

  #measure(tokens: number, firstAt: number | undefined): void {
    const seconds = firstAt === undefined ? 0 : (performance.now() - firstAt) / 1000;
    // What comes all at once says nothing of how fast it was made.
    if (seconds >= leastMeasured && tokens > 1) this.#tokensPerSecond = (tokens - 1) / seconds;
  }

  #setState(state: BackendState): void {
    if (this.#state.kind === 'stopped') return;
    this.#state = state;
    this.events.emit('state', state);
  }
}

/** Whether `url` can only mean this machine. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname);
}

/** The names under which servers tell how much context a model has: vLLM, OpenRouter, llama.cpp. */
function reportedContext(entry: ModelEntry | undefined): number | undefined {
  const meta = entry?.['meta'];
  const trained =
    typeof meta === 'object' && meta !== null && 'n_ctx_train' in meta ? meta.n_ctx_train : undefined;
  return [entry?.['max_model_len'], entry?.['context_length'], trained].find(
    (value): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value > 0,
  );
}

function failureOf(error: UpstreamError): EngineFailure {
  return new EngineFailure(
    'unavailable',
    `no answer from the remote service: ${error.message}; try again, or see whether it runs`,
    {
      cause: error,
    },
  );
}
