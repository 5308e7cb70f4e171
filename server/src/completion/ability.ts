import type { Health, ModelInfo } from '@hearth/protocol';

/** How a model can be asked for ghost text, or why it cannot. */
export type Ability =
  | { readonly kind: 'infill'; readonly model: ModelInfo }
  /** It goes on with what comes before, and knows nothing of what follows. */
  | { readonly kind: 'continue'; readonly model: ModelInfo }
  | { readonly kind: 'none'; readonly reason: 'loading' | 'no_infill' | 'backend_unavailable' };

/**
 * What the daemon can do for ghost text now. Fill-in-the-middle is read from the vocabulary of the model, never guessed
 * from its name. A model without it continues plain text; one that was tuned to converse would answer with prose, and
 * is refused.
 */
export function abilityOf(health: Health): Ability {
  const ready = health.backends.flatMap(({ state, model }) =>
    state.kind === 'ready' && model !== undefined ? [model] : [],
  );
  const infill = ready.find((model) => model.infill);
  if (infill !== undefined) return { kind: 'infill', model: infill };
  const base = ready.find((model) => model.chat !== true);
  if (base !== undefined) return { kind: 'continue', model: base };
  if (ready.length > 0) return { kind: 'none', reason: 'no_infill' };
  const coming = health.backends.some(({ state }) =>
    ['starting', 'loading', 'restarting'].includes(state.kind),
  );
  return { kind: 'none', reason: coming ? 'loading' : 'backend_unavailable' };
}
