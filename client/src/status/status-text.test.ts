import { describe, expect, it } from 'vitest';
import type { SidecarState } from '../sidecar/state.js';
import { testHealth, testModel } from '../sidecar/test-health.js';
import { escapeMarkdown, fileSize, statusText, statusTooltip, tokenRate } from './status-text.js';

describe('the status bar', () => {
  const cases: readonly (readonly [SidecarState, string])[] = [
    [{ kind: 'starting' }, '$(loading~spin) Hearth: starting'],
    [{ kind: 'loading', phase: 'mmap', progress: 0.4 }, '$(loading~spin) Hearth: loading the model 40 %'],
    [{ kind: 'ready', model: testModel }, '$(flame) Pilot'],
    [{ kind: 'ready', model: testModel, tokensPerSecond: 1830.4 }, '$(flame) Pilot · 1,830 tok/s'],
    [{ kind: 'restarting', attempt: 2, delayMs: 1000, reason: 'x' }, '$(sync~spin) Hearth: restarting (2)'],
    [{ kind: 'failed', reason: 'No memory.' }, '$(error) Hearth: failed'],
    [{ kind: 'stopped' }, '$(circle-slash) Hearth: stopped'],
  ];
  it.each(cases)('shows %j', (state, text) => {
    expect(statusText(state).text).toBe(text);
    expect(statusText(state).spoken).not.toContain('$(');
  });

  it('says to a screen reader why it failed', () => {
    expect(statusText({ kind: 'failed', reason: 'No memory.' }).spoken).toContain('No memory.');
  });
});

describe('the tooltip', () => {
  it('names the model, its context, its caution, what runs, and offers a way to another model', () => {
    const model = { ...testModel, caution: 'It is tiny' };
    expect(statusTooltip({ kind: 'ready', model: testModel }, testHealth())).not.toContain('useBestModel');
    const tooltip = statusTooltip({ kind: 'ready', model }, testHealth());
    for (const part of [
      'Pilot',
      '4.6 MB',
      '1,024 tokens',
      'It is tiny [Use the best model for this machine](command:hearth.useBestModel)',
      '1 of 4 running',
      '2 of 10 waiting',
      'command:hearth.chooseModel',
    ]) {
      expect(tooltip).toContain(part);
    }
  });

  it('takes what a model calls itself as text', () => {
    const model = { ...testModel, displayName: '[x](command:evil)' };
    expect(statusTooltip({ kind: 'ready', model }, undefined)).not.toContain('[x](command:evil)');
    expect(escapeMarkdown('$(x) <b>')).toBe('\\$\\(x\\) \\<b\\>');
  });
});

describe('figures', () => {
  it('are short', () => {
    expect([tokenRate(8.46), tokenRate(412.3)]).toEqual(['8.5 tok/s', '412 tok/s']);
    expect([fileSize(900), fileSize(4_611_424), fileSize(120e9)]).toEqual(['900 B', '4.6 MB', '120 GB']);
  });
});
