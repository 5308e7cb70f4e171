import { EventEmitter } from 'node:events';
import type { GhostTextOutcome, GhostTextReason } from '@hearth/protocol';

/** An outcome as this window remembers it: the same one several times in a row is one entry. */
export interface RememberedOutcome {
  readonly outcome: GhostTextOutcome;
  /** When it was last seen: milliseconds since 1970. */
  readonly at: number;
  readonly times: number;
}

/** What became of the triggers of this window: at most 50, newest last. */
export interface GhostTextOutcomes {
  readonly events: EventEmitter<{ changed: [] }>;
  readonly add: (outcome: GhostTextOutcome) => void;
  readonly all: () => readonly RememberedOutcome[];
  /** The newest that says something: typing on is what people do anyway. */
  readonly latest: () => RememberedOutcome | undefined;
}

const most = 50;

/** @param now Milliseconds since 1970. */
export function createOutcomes(now: () => number): GhostTextOutcomes {
  const events = new EventEmitter<{ changed: [] }>();
  events.setMaxListeners(0);
  let entries: readonly RememberedOutcome[] = [];
  return {
    events,
    add: (outcome) => {
      const last = entries.at(-1);
      const same = last !== undefined && identity(last.outcome) === identity(outcome);
      const entry = { outcome, at: now(), times: same ? last.times + 1 : 1 };
      entries = [...(same ? entries.slice(0, -1) : entries), entry].slice(-most);
      events.emit('changed');
    },
    all: () => entries,
    latest: () => entries.findLast(isTelling) ?? entries.at(-1),
  };
}

/** Whether an outcome says something beside that one typed on. */
export function isTelling({ outcome }: RememberedOutcome): boolean {
  return outcome.kind === 'shown' || (outcome.reason !== 'typing' && outcome.reason !== 'superseded');
}

/**
 * Whether nothing was shown for what the model can do, and not for the place or the moment: another one might have had a
 * suggestion.
 *
 * @param caution What one should know of the model; undefined: nothing.
 */
export function isModelsLimit(outcome: GhostTextOutcome, caution: string | undefined): boolean {
  if (outcome.kind === 'shown') return false;
  return outcome.reason === 'no_infill' || (caution !== undefined && limits.has(outcome.reason));
}

/** Of a model that one is warned of, these are no surprise. */
const limits: ReadonlySet<GhostTextReason> = new Set(['not_sure', 'empty_answer', 'filtered']);

/** What makes two outcomes alike, their times left out. */
function identity(outcome: GhostTextOutcome): string {
  return outcome.kind === 'shown'
    ? `shown ${outcome.source}`
    : `none ${outcome.reason} ${outcome.rule ?? ''}`;
}
