import type { EmbedRequest } from '@hearth/protocol';

/** What engines give beside generations: vectors, scores, tokens and prompts. */

/** What is asked of an engine. `chat` is `generate` with roles; there is no engine that has the one alone. */
export interface EngineCapabilities {
  readonly generate: boolean;
  readonly embed: boolean;
  readonly rerank: boolean;
  /** Tokens of texts, texts of tokens, and prompts as the model gets them. */
  readonly tokenize: boolean;
  readonly vision: boolean;
  readonly tools: boolean;
  /** Whether what the model thinks is told apart from what it answers. */
  readonly thinking: boolean;
  readonly infill: boolean;
}

/** A generator of text and nothing more. */
export const generatorCapabilities: EngineCapabilities = {
  generate: true,
  embed: false,
  rerank: false,
  tokenize: true,
  vision: false,
  tools: false,
  thinking: false,
  infill: false,
};

export interface EmbedInput {
  /** None is empty. */
  readonly texts: readonly string[];
  /** Numbers of each vector; undefined: as many as the model gives. */
  readonly dimensions: number | undefined;
  /** What the vectors are for; a model that was trained with prompts for it is given the fitting one. */
  readonly task: EmbedRequest['task'];
}

export interface Embeddings {
  /** One a text, in their order; of length 1. */
  readonly vectors: readonly (readonly number[])[];
  readonly inputTokens: number;
}

export interface Scores {
  /** One a document, in their order; higher is more relevant. Only those of one answer compare. */
  readonly scores: readonly number[];
  readonly inputTokens: number;
}

/** A prompt as the model would get it. */
export interface Rendered {
  /** With the texts of control tokens. */
  readonly prompt: string;
  readonly promptTokens: number;
  /** GBNF that the answer would be held to; absent: none. */
  readonly grammar?: string;
}
