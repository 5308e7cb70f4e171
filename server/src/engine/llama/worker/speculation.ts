import type { Drafter, Sequence } from './driver.js';
import { DraftWorth } from './draft-worth.js';
import type { TimedDraftStep } from './draft-worth.js';
import { lookUp } from './prompt-lookup.js';
import type { DraftPolicy } from './prompt-lookup.js';

/** A stream that decodes in a step. */
export interface GuessedStream {
  readonly sequence: Sequence;
  /** All its tokens; the last is evaluated in this step. */
  readonly tokens: () => readonly number[];
  /** Whether and how far to guess for it. */
  readonly policy: DraftPolicy;
  /** Most tokens that there is room for. */
  readonly room: number;
}

/** What guesses come from: nothing, what stands before, or a smaller model. */
export type GuessSource =
  | { readonly kind: 'off' }
  | { readonly kind: 'lookup' }
  | { readonly kind: 'draft'; readonly drafter: Drafter };

/** What was guessed for the streams of a step. */
export interface Guesses {
  /** In the order of the streams; empty where there is none. */
  readonly drafts: readonly (readonly number[])[];
  /**
   * What the step is by its time: `plain` without guesses, `drafted` with, `other` where the draft model had to catch up
   * first, or failed.
   */
  readonly kind: 'plain' | 'drafted' | 'other';
}

/** Guesses how streams go on, where that makes them faster. */
export class Speculation {
  readonly #source: GuessSource;
  readonly #worth = new DraftWorth();

  constructor(source: GuessSource) {
    this.#source = source;
  }

  /** Whether a step of so many streams is to have guesses. */
  allows(streams: number): boolean {
    return this.#source.kind !== 'off' && streams > 0 && this.#worth.allows(streams);
  }

  /** Never rejects. */
  async guess(streams: readonly GuessedStream[]): Promise<Guesses> {
    const source = this.#source;
    const wanted = streams.map(({ policy, room }) => Math.min(policy.next(), room));
    const nothing: Guesses = { drafts: streams.map(() => []), kind: 'plain' };
    if (source.kind === 'off') return nothing;
    if (source.kind === 'lookup') {
      const drafts = streams.map(({ tokens }, index) => {
        const most = wanted[index] ?? 0;
        return most < 1 ? [] : lookUp(tokens(), { most });
      });
      return drafts.some(({ length }) => length > 0) ? { drafts, kind: 'drafted' } : nothing;
    }
    const items = streams.flatMap(({ sequence, tokens }, index) => {
      const most = wanted[index] ?? 0;
      return most < 1 ? [] : [{ index, sequence, tokens: tokens(), most }];
    });
    if (items.length === 0) return nothing;
    try {
      const { drafts, isBehind } = await source.drafter.draft(items);
      const byStream = new Map(items.map(({ index }, place) => [index, drafts[place] ?? []]));
      return {
        drafts: streams.map((_, index) => byStream.get(index) ?? []),
        kind: isBehind ? 'other' : 'drafted',
      };
    } catch {
      // A guess is never needed.
      return { ...nothing, kind: 'other' };
    }
  }

  /** Takes the time of a step without any part of a prompt. */
  observe(step: TimedDraftStep): void {
    this.#worth.observe(step);
  }
}
