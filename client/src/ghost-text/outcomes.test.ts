import { allGhostTextReasons, type GhostTextOutcome, type GhostTextReason } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { outcomeRows } from './outcome-rows.js';
import { outcomeTooltip } from './outcome-tooltip.js';
import { createOutcomes, isModelsLimit } from './outcomes.js';
import { reasonWords } from './reason-words.js';
import { switchWords, whyOff } from './switch.js';

const none = (reason: 'typing' | 'queue_full' | 'filtered'): GhostTextOutcome => ({
  kind: 'none',
  reason,
  ms: 3,
});
const shown: GhostTextOutcome = { kind: 'shown', source: 'engine', ms: 80, lines: 3 };

describe('the reasons for showing nothing', () => {
  it.each(allGhostTextReasons)('%s has words of its own that say more than its code', (reason) => {
    const { short, long } = reasonWords({ kind: 'none', reason, ms: 0 });
    expect(short.length).toBeGreaterThan(2);
    expect(long).toMatch(/^[A-Z].*\.$/);
  });

  it('name the rule that left nothing', () => {
    const outcome = { kind: 'none', reason: 'filtered', rule: 'repeats_above', ms: 0 } as const;
    expect(reasonWords(outcome)).toEqual({
      short: 'filtered by rule “repeats above”',
      long: 'The model answered, but it only repeated what stands above.',
    });
  });
});

describe('a better model is offered', () => {
  const because = (reason: GhostTextReason): GhostTextOutcome => ({ kind: 'none', reason, ms: 1 });

  it('where the model is the reason: it cannot fill in, or one is warned of it and it had nothing good', () => {
    expect(isModelsLimit(because('no_infill'), undefined)).toBe(true);
    for (const reason of ['not_sure', 'empty_answer', 'filtered'] as const) {
      expect(isModelsLimit(because(reason), 'It is tiny.')).toBe(true);
      expect(isModelsLimit(because(reason), undefined)).toBe(false);
    }
  });

  it('and not where it is the place, the moment or the person', () => {
    for (const reason of ['inside_word', 'loading', 'queue_full', 'paused'] as const)
      expect(isModelsLimit(because(reason), 'It is tiny.')).toBe(false);
    expect(isModelsLimit(shown, 'It is tiny.')).toBe(false);
  });
});

describe('what a window remembers', () => {
  it('is one entry where the same came several times, and at most fifty', () => {
    let time = 0;
    const outcomes = createOutcomes(() => (time += 1));
    for (let key = 0; key < 5; key += 1) outcomes.add(none('typing'));
    expect(outcomes.all()).toEqual([{ outcome: none('typing'), at: 5, times: 5 }]);
    for (let pair = 0; pair < 100; pair += 1) {
      outcomes.add(shown);
      outcomes.add(none('queue_full'));
    }
    expect(outcomes.all()).toHaveLength(50);
  });

  it('tells the latest that says something: not that one typed on', () => {
    const outcomes = createOutcomes(() => 1);
    outcomes.add(none('queue_full'));
    outcomes.add(none('typing'));
    expect(outcomes.latest()?.outcome).toEqual(none('queue_full'));
  });

  it('is one row of the Activity view, its newest first, with reasons to read', () => {
    const outcomes = createOutcomes(() => 0);
    expect(outcomeRows(outcomes.all())).toEqual([]);
    outcomes.add(none('queue_full'));
    outcomes.add(shown);
    const [row] = outcomeRows(outcomes.all());
    expect(row?.children?.map(({ label }) => label)).toEqual(['shown', 'queue full']);
    expect(row?.children?.[1]?.tooltip).toContain('Streams view');
    expect(new Set(row?.children?.map(({ id }) => id)).size).toBe(2);
  });

  it('stands in the hover of the status bar with its reason, and with a way to more', () => {
    const entry = { outcome: none('queue_full'), at: 0, times: 1 };
    const text = outcomeTooltip(entry, undefined).join('\n');
    expect(text).toContain('**No suggestion**');
    expect(text).toContain('queue full');
    expect(text).toContain('command:hearth.whyNoSuggestion');
    expect(outcomeTooltip(undefined, undefined)).toEqual([]);
    expect(outcomeTooltip(entry, 'Ghost text is paused.').join('')).toContain(
      'command:hearth.resumeGhostText',
    );
  });
});

describe('the switch of a window', () => {
  it('says why nothing is asked: paused before snoozed before the setting of the language', () => {
    expect(whyOff({ kind: 'on' }, true, 0)).toBeUndefined();
    expect(whyOff({ kind: 'on' }, false, 0)).toBe('switched_off');
    expect(whyOff({ kind: 'paused' }, false, 0)).toBe('paused');
    expect(whyOff({ kind: 'snoozed', until: 10 }, true, 9)).toBe('snoozed');
    expect(whyOff({ kind: 'snoozed', until: 10 }, true, 10)).toBeUndefined();
  });

  it('says for how long it is off', () => {
    expect(switchWords({ kind: 'snoozed', until: 60_000 }, 0)).toBe(
      'Ghost text is snoozed for 1 more minute.',
    );
    expect(switchWords({ kind: 'snoozed', until: 300_000 }, 1)).toBe(
      'Ghost text is snoozed for 5 more minutes.',
    );
    expect(switchWords({ kind: 'snoozed', until: 5 }, 5)).toBeUndefined();
    expect(switchWords({ kind: 'paused' }, 0)).toContain('paused');
    expect(switchWords({ kind: 'on' }, 0)).toBeUndefined();
  });
});
