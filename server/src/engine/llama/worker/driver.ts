import type { ResolvedGeneration, Sampling } from '@hearth/protocol';
import type { LoadedInfo } from './messages.js';

/**
 * The driver port: what the scheduler needs of llama.cpp. Everything above it (who runs when, prefixes, stop texts,
 * back-pressure) is the same for every driver.
 */
export interface Driver {
  readonly info: LoadedInfo;
  readonly sequences: readonly Sequence[];
  /**
   * Turns a request into tokens and checks it.
   *
   * @throws RequestError `invalid_request` where the model cannot serve it.
   */
  prepare(request: ResolvedGeneration): Promise<PreparedRequest>;
  countTokens(text: string): number;
  /** Text of `tokens`, special ones left out; half a character at an end comes as U+FFFD. */
  detokenize(tokens: readonly number[], before: readonly number[]): string;
  setThreads(count: number): void;
  /**
   * A promise was rejected where nobody waits for it: some call in progress may never come back. Those that can be
   * meant fail.
   */
  loseCalls(): void;
}

/** A request in the model's own terms. */
export interface PreparedRequest {
  /** At least one token, and fewer than the context holds. */
  readonly tokens: readonly number[];
  /** Tokens that end the generation beside those that the model itself ends with. */
  readonly stopTokens: ReadonlySet<number>;
  readonly stopTexts: readonly string[];
  readonly sampling: ResolvedSampling;
  /** Begins one generation's use of the grammar; undefined: no constraint. Opaque to the scheduler. */
  readonly grammar: Grammar | undefined;
}

/** Sampling with its seed chosen. */
export type ResolvedSampling = Pick<Sampling, 'temperature' | 'topP' | 'topK' | 'minP' | 'maxTokens'> & {
  readonly seed: number;
};

/** A parsed grammar, as the driver has it. */
export interface Grammar {
  readonly driver: unknown;
}

/** One stream of tokens with its own state. It is used by one request at a time. */
export interface Sequence {
  /** The tokens whose state it holds. */
  tokens(): readonly number[];
  /** Forgets all but the first `length` tokens. */
  truncate(length: number): Promise<void>;
  /** Makes it fit for use again after a failure, whatever it was doing. It holds nothing then. */
  reset(): Promise<void>;
  /** Evaluates tokens behind those that it holds. One micro-batch; several sequences' calls share it. */
  prefill(tokens: readonly number[]): Promise<void>;
  /** Evaluates `tokens`, at least one, with the first {@link Decoder.next} and goes on from there. */
  decode(tokens: readonly number[], sampling: ResolvedSampling, grammar: Grammar | undefined): Decoder;
}

export interface Decoder {
  /** The next token, or undefined where the model has ended. Calls made together share a batch. */
  next(): Promise<number | undefined>;
  /** Call once, when no `next` is in progress. */
  end(): Promise<void>;
}
