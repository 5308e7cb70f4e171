import {
  type AnswerFrame,
  type ErrorCode,
  type ErrorFrame,
  type HearthError,
  toErrorFrame,
  toFullErrorFrame,
} from '@hearth/protocol';
import type { Rendering, TypedResult } from '../../daemon-api.js';

/** The frame that answers a typed request (behaviours.md 1.4). */
export function toAnswerFrame(id: string, result: TypedResult): AnswerFrame {
  const { backend, model } = result;
  const common = { id, model, backend };
  switch (result.kind) {
    case 'embeddings':
      return {
        type: 'embeddings',
        ...common,
        embeddings: result.vectors.map((vector) => [...vector]),
        dimensions: result.vectors[0]?.length ?? 0,
        usage: { input_tokens: result.inputTokens },
      };
    case 'ranking':
      return {
        type: 'rerank',
        ...common,
        results: [...result.results],
        usage: { input_tokens: result.inputTokens },
      };
    case 'tokens':
      return { type: 'tokens', ...common, tokens: [...result.tokens] };
    case 'text':
      return { type: 'text', ...common, content: result.content };
  }
}

/** The frame that answers a generation with `dry_run`. */
export function toRenderedFrame(id: string, rendering: Rendering): AnswerFrame {
  const { backend, model, prompt, promptTokens, grammar } = rendering;
  return {
    type: 'rendered',
    id,
    model,
    backend,
    prompt,
    prompt_tokens: promptTokens,
    ...(grammar === undefined ? {} : { grammar }),
  };
}

/** What may refuse an embedding or a ranking beside the codes of version 1. */
const codes: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['embed_unsupported', 'rerank_unsupported']);

/** The frame for a typed request that failed. */
export function toTypedError(id: string, error: HearthError, events: boolean | undefined): ErrorFrame {
  return events === true ? toFullErrorFrame(id, error) : toErrorFrame(id, error, codes);
}
