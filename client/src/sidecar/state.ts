import type { BackendHealth, Health, LoadPhase, ModelInfo } from '@hearth/protocol';

/** Where the sidecar and its model have got to, as everything in the editor shows it. */
export type SidecarState =
  | { readonly kind: 'starting' }
  | { readonly kind: 'loading'; readonly phase: LoadPhase['phase']; readonly progress?: number }
  | { readonly kind: 'ready'; readonly model: ModelInfo; readonly tokensPerSecond?: number }
  | {
      readonly kind: 'restarting';
      readonly attempt: number;
      readonly delayMs: number;
      readonly reason: string;
    }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'stopped' };

/** The state that a sidecar's own health amounts to: the best that any of its backends has to offer. */
export function stateOfHealth(health: Health): SidecarState {
  if (health.state === 'draining') return { kind: 'starting' };
  const states = health.backends.map(stateOfBackend);
  for (const kind of ['ready', 'loading', 'starting', 'restarting', 'failed'] as const) {
    const found = states.find((state) => state.kind === kind);
    if (found !== undefined) return isOpening(found, health) ? { kind: 'loading', phase: 'kv_cache' } : found;
  }
  if (health.state !== 'failed') return { kind: 'starting' };
  return { kind: 'failed', reason: health.problem ?? 'No backend could start.' };
}

/** Whether the model is there and the sidecar has yet to open its sockets: a moment in which it serves nobody. */
function isOpening(found: SidecarState, health: Health): boolean {
  return found.kind === 'ready' && (health.state === 'loading' || health.state === 'starting');
}

function stateOfBackend({ state, model, tokensPerSecond }: BackendHealth): SidecarState {
  switch (state.kind) {
    case 'ready':
      if (model === undefined) return { kind: 'starting' };
      return { kind: 'ready', model, ...(tokensPerSecond === undefined ? {} : { tokensPerSecond }) };
    case 'loading':
    case 'restarting':
    case 'starting':
    case 'stopped':
      return state;
    case 'failed':
      return { kind: 'failed', reason: state.reason };
  }
}

/** Whether two states look the same to a person. */
export function sameState(one: SidecarState, other: SidecarState): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
