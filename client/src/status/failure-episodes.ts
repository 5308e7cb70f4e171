import type { SidecarState } from '../sidecar/state.js';

/** A run of failures that has lasted for this many restarts is worth a message; a shorter one heals by itself. */
const restartsBeforeMessage = 3;

/** Whether a person has been told of the present run of failures. */
export type Episode = 'none' | 'told';

/**
 * What a change of state means for the person: at most one message in a run of failures, which lasts until a
 * model is ready again.
 */
export function episodeAfter(
  episode: Episode,
  state: SidecarState,
): { readonly episode: Episode; readonly message: string | undefined } {
  if (state.kind === 'ready' || state.kind === 'stopped') return { episode: 'none', message: undefined };
  const failing =
    state.kind === 'failed' || (state.kind === 'restarting' && state.attempt >= restartsBeforeMessage);
  if (!failing || episode === 'told') return { episode, message: undefined };
  const outcome = state.kind === 'failed' ? 'could not start' : 'keeps failing and is being restarted';
  return { episode: 'told', message: `Hearth ${outcome}. ${state.reason}` };
}
