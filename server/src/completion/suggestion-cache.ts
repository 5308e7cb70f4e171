import type { GhostTextRule } from '@hearth/protocol';
import type { Place } from './place.js';
import { restAfter, typedSince, type Typed } from './typed-since.js';

/** What came of asking at a place. `texts` are alternatives, the likeliest first. */
export type Suggestion =
  | { readonly kind: 'texts'; readonly texts: readonly string[] }
  | {
      readonly kind: 'none';
      readonly reason: 'empty_answer' | 'filtered' | 'not_sure';
      readonly rule?: GhostTextRule;
    };

/** What the cache has for a place. `typed` is what was typed since it was asked. */
export interface Found {
  readonly suggestion: Suggestion;
  readonly typed: Typed;
  /** Whether the place is the very one that was asked for. */
  readonly exact: boolean;
  /** Whether it was asked for before anybody was there. */
  readonly ahead: boolean;
  readonly place: Place;
}

/** Remembers suggestions by what stands before and after the cursor. */
export interface SuggestionCache {
  /**
   * What holds at `place`: an answer for this very text on both sides, or an earlier one along which was typed since,
   * or back to whose place was deleted.
   */
  readonly find: (place: Place) => Found | undefined;
  readonly put: (place: Place, suggestion: Suggestion, ahead?: boolean) => void;
  readonly clear: () => void;
}

/** Bounds of {@link createSuggestionCache}. */
export interface CacheBounds {
  /** @default 128 */
  readonly entries: number;
  /** How long an answer holds, since other files change too, in milliseconds. @default 300000 */
  readonly holdsMs: number;
}

interface Entry {
  readonly place: Place;
  readonly suggestion: Suggestion;
  readonly ahead: boolean;
  readonly at: number;
}

/** @param now Monotonic milliseconds. */
export function createSuggestionCache(
  now: () => number,
  bounds: CacheBounds = { entries: 128, holdsMs: 300_000 },
): SuggestionCache {
  /** Oldest first. */
  let entries: readonly Entry[] = [];

  return {
    find: (place) => {
      const oldest = now() - bounds.holdsMs;
      let best: Found | undefined;
      for (const entry of entries.toReversed()) {
        if (entry.at < oldest) break;
        const typed = typedSince(entry.place, place);
        if (typed === undefined) continue;
        const exact = typed.text === '' && typed.closed === '';
        const suggestion = exact ? entry.suggestion : remaining(entry.suggestion, typed);
        if (suggestion === undefined) continue;
        const found = { suggestion, typed, exact, ahead: entry.ahead, place: entry.place };
        if (exact) return found;
        // The one from which the fewest steps were typed is the one that was asked latest along this way.
        if (best === undefined || typed.text.length < best.typed.text.length) best = found;
      }
      return best;
    },
    put: (place, suggestion, ahead = false) => {
      const others = entries.filter((entry) => {
        const typed = typedSince(entry.place, place);
        return typed === undefined || typed.text !== '' || typed.closed !== '';
      });
      entries = [...others, { place, suggestion, ahead, at: now() }].slice(-bounds.entries);
    },
    clear: () => {
      entries = [];
    },
  };
}

/** What is left of a suggestion after typing along it; undefined where nothing is. */
function remaining(suggestion: Suggestion, typed: Typed): Suggestion | undefined {
  if (suggestion.kind === 'none') return undefined;
  const texts = suggestion.texts.flatMap((text) => {
    const rest = restAfter(text, typed);
    return rest === undefined || rest.trim() === '' ? [] : [rest];
  });
  return texts.length === 0 ? undefined : { kind: 'texts', texts };
}
