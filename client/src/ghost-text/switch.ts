import type { GhostTextReason } from '@hearth/protocol';

/** Whether ghost text is on in this window, beside what the settings say of a language. */
export type Switch =
  | { readonly kind: 'on' }
  /** Until it is resumed. */
  | { readonly kind: 'paused' }
  /** Until a time, in milliseconds since 1970. */
  | { readonly kind: 'snoozed'; readonly until: number };

/** Why nothing is to be asked at `now`; undefined where it may be. */
export function whyOff(state: Switch, enabledHere: boolean, now: number): GhostTextReason | undefined {
  if (state.kind === 'paused') return 'paused';
  if (state.kind === 'snoozed' && now < state.until) return 'snoozed';
  return enabledHere ? undefined : 'switched_off';
}

/** What a person reads of it; undefined while it is on. */
export function switchWords(state: Switch, now: number): string | undefined {
  if (state.kind === 'paused') return 'Ghost text is paused in this window.';
  if (state.kind === 'on' || now >= state.until) return undefined;
  const minutes = Math.max(1, Math.ceil((state.until - now) / 60_000));
  return `Ghost text is snoozed for ${minutes} more ${minutes === 1 ? 'minute' : 'minutes'}.`;
}
