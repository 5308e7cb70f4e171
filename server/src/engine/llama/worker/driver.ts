import type { ResolvedGeneration, Sampling } from '@hearth/protocol';
import type { EmbedderInfo, LoadedInfo } from './messages.js';
import type { AnswerPlan } from './prompting/answer/answer-plan.js';

/**
 * The driver port: what the scheduler needs of llama.cpp. Everything above it (who runs when, prefixes, stop texts,
 * back-pressure) is the same for every driver.
 */
export interface Driver {
  readonly info: LoadedInfo;
  readonly abilities: DriverAbilities;
  /** What saved states depend on beside model and tokens: a release, a layout. */
  readonly stateKey: string;
  readonly sequences: readonly Sequence[];
  /** Gives vectors for texts; undefined: this model, or this driver, cannot. */
  readonly embedder: Embedder | undefined;
  /** A smaller model that guesses ahead; undefined: none was ordered, or it cannot be used. */
  readonly drafter?: Drafter | undefined;
  /**
   * Turns a request into tokens and checks it.
   *
   * @throws RequestError `invalid_request` where the model cannot serve it.
   */
  prepare(request: ResolvedGeneration): Promise<PreparedRequest>;
  countTokens(text: string): number;
  /** Tokens of `text`, without begin and end; marks of control tokens in it have no power. */
  tokenize(text: string): readonly number[];
  /**
   * Text of `tokens`; half a character at an end comes as U+FFFD.
   *
   * @param marks `shown`: control tokens as their text; otherwise they are left out
   */
  detokenize(tokens: readonly number[], before: readonly number[], marks?: 'shown'): string;
  setThreads(count: number): void;
  /** Whether work that was given up still holds a core, and only the end of the process frees it. */
  readonly isSpent: boolean;
  /**
   * Begins to choose tokens for one request.
   *
   * @param prompt All tokens of the request.
   */
  startSampling(sequence: Sequence, request: PreparedRequest): Sampler;
  /**
   * Evaluates all of `items` in one decode; no two may name the same sequence. One at a time.
   *
   * @param inPlaceMs Present: the step may hold up this thread, if it is `interrupted` after so many milliseconds
   *   (Infinity: never). Only for drivers that compute {@link DriverAbilities.inPlace}.
   * @returns one outcome an item, in their order.
   */
  step(items: readonly StepItem[], inPlaceMs?: number): Promise<readonly StepOutcome[]>;
  /** Asks the step in progress to end now, with every item `interrupted`. Nothing where the driver cannot. */
  interrupt(): void;
  /**
   * A promise was rejected where nobody waits for it: some call in progress may never come back. Those that can be
   * meant fail.
   */
  loseCalls(): void;
}

/** What a driver can beyond the least. */
export interface DriverAbilities {
  /** Most threads that {@link Driver.setThreads} may be given. */
  readonly mostThreads: number;
  /** Most tokens of one step, all items together, drafts included. */
  readonly stepTokens: number;
  /** Tokens of prompts that a step should have at most: more make it longer and a token hardly cheaper. */
  readonly promptTokens: number;
  /** Whether {@link Driver.interrupt} ends a step within milliseconds. Where not, prompts go in small pieces. */
  readonly interrupts: boolean;
  /** Whether {@link Sequence.copyFrom} works. */
  readonly copies: boolean;
  /** Whether a step can be computed on this thread, which is quicker and holds it up. @default false */
  readonly inPlace?: boolean;
  /** Most tokens that may be drafted ahead in a {@link StepItem}; 0: none. */
  readonly draftTokens: number;
}

/** What one sequence does in a step. */
export interface StepItem {
  readonly sequence: Sequence;
  /** Evaluated behind what the sequence holds, at least one. */
  readonly tokens: readonly number[];
  /** Chooses what follows the last of them; undefined: nothing is wanted yet. */
  readonly sampler: Sampler | undefined;
  /** A guess at what follows `tokens`, evaluated with them. Only with a sampler. */
  readonly draft?: readonly number[];
}

export type StepOutcome =
  | { readonly kind: 'evaluated' }
  /**
   * The tokens that follow, at least one unless the model has `ended`: those of the draft that were right, and one
   * more. The sequence holds all of them but the last.
   */
  | { readonly kind: 'sampled'; readonly tokens: readonly SampledToken[]; readonly ended: boolean }
  /** Choosing takes longer; the step is over for the others. */
  | { readonly kind: 'pending'; readonly outcome: Promise<StepOutcome> }
  /** Nothing was done, and can be asked for again. */
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'failed'; readonly error: unknown };

export interface SampledToken {
  readonly token: number;
  /** Only where the request asked for it. */
  readonly logprob?: TokenChance & { readonly alternatives: readonly TokenChance[] };
}

/** A token and its natural log-probability. */
export interface TokenChance {
  readonly token: number;
  readonly logprob: number;
}

/** A request in the model's own terms. */
export interface PreparedRequest {
  /** At least one token, and fewer than the context holds. */
  readonly tokens: readonly number[];
  /** Tokens that end the generation beside those that the model itself ends with. */
  readonly stopTokens: ReadonlySet<number>;
  readonly stopTexts: readonly string[];
  readonly sampling: ResolvedSampling;
  /**
   * Begins one generation's use of the grammar; undefined: no constraint. Opaque to the scheduler. From where on it
   * holds is in {@link answer}; sampling begins without it where that is not the start.
   */
  readonly grammar: Grammar | undefined;
  /** The same in GBNF. */
  readonly grammarText: string | undefined;
  /** How the answer is to be read. */
  readonly answer: AnswerPlan;
  /** Tokens of a text of ours in which the marks of control tokens have power. */
  readonly tokenizeMarks: (text: string) => readonly number[];
}

/** Sampling with its seed chosen. */
export type ResolvedSampling = Omit<Sampling, 'seed' | 'stop'> & { readonly seed: number };

/** A parsed grammar, as the driver has it. */
export interface Grammar {
  readonly driver: unknown;
}

/** One stream of tokens with its own state. It is used by one request at a time. */
export interface Sequence {
  /** The tokens whose state it holds. */
  tokens(): readonly number[];
  /** Forgets all but the first `length` tokens, or, where the model cannot forget a part, all. */
  truncate(length: number): Promise<void>;
  /** Makes it fit for use again after a failure, whatever it was doing. It holds nothing then. */
  reset(): Promise<void>;
  /**
   * Forgets what it holds and takes over the first `length` tokens of another sequence, busy or not, without
   * evaluating them. False: the driver cannot; it holds nothing then.
   */
  copyFrom(other: Sequence, length: number): boolean;
  /** What it holds, as bytes for {@link load}; undefined: it cannot be had. Not while it is in a step. */
  save(): Uint8Array | undefined;
  /** Takes over what {@link save} gave for `tokens`. False: it did not fit; it holds nothing then. */
  load(state: Uint8Array, tokens: readonly number[]): boolean;
}

/** Chooses the tokens of one request. */
export interface Sampler {
  /** Call once, when it is in no step. */
  end(): Promise<void>;
}

/** A smaller model with the same vocabulary, which guesses how a text goes on. */
export interface Drafter {
  /** Its name, for people. */
  readonly name: string;
  /** The tokens that it would write behind each text, at most so many. One call at a time, never during a step. */
  draft(items: readonly DraftItem[]): Promise<Drafts>;
}

export interface Drafts {
  /** In the order of the items. Fewer tokens than asked for, or none, where it is behind or was interrupted. */
  readonly drafts: readonly (readonly number[])[];
  /** Whether it had more of a text to evaluate than one call does. It goes on with that in the next call. */
  readonly isBehind: boolean;
}

export interface DraftItem {
  /** Whose text it is, so that what was evaluated for it is found again. No two are the same. */
  readonly sequence: Sequence;
  /** At least one token. */
  readonly tokens: readonly number[];
  /** At least 1. */
  readonly most: number;
}

/** Vectors and scores for texts. One text at a time; what comes while one is worked on waits. */
export interface Embedder {
  readonly info: EmbedderInfo;
  /** Tokens of a text, with those that the model wants at its begin and end. */
  tokenize(text: string): readonly number[];
  /**
   * The vector of one text as the model gives it: not normalised.
   *
   * @throws RequestError where it has no tokens or more than fit, or the model only scores.
   */
  embed(tokens: readonly number[]): Promise<Float32Array>;
  /**
   * How well a document answers a query, from 0 to 1.
   *
   * @throws RequestError where both together are more than fit, or the model does not score.
   */
  score(query: string, document: string): Promise<{ readonly score: number; readonly tokens: number }>;
}
