import { describe, expect, it } from 'vitest';
import { testModel } from '../sidecar/test-health.js';
import { askHead } from './ask-document.js';
import { continuationPrompt } from './continuation-prompt.js';

describe('the document of an answer', () => {
  it('begins with the question', () => {
    expect(askHead('Why?\nReally?', testModel)).toBe('> Why?\n> Really?\n\n');
  });

  it('says in one line what a model is that is no assistant, and how to get another', () => {
    const [, , line] = askHead('Why?', { ...testModel, caution: 'It is tiny.' }).split('\n');
    expect(line).toContain('It is tiny.');
    expect(line).toContain('“Hearth: Use the Best Model for This Machine”');
  });
});

describe('the prompt of a continuation', () => {
  const sides = { before: 'x'.repeat(5000), after: 'y'.repeat(5000) };

  it('fills the middle where the model can and there is something to meet', () => {
    const prompt = continuationPrompt(sides, testModel);
    expect(prompt.prompt).toHaveLength(1152);
    expect(prompt.suffix).toHaveLength(384);
    expect(continuationPrompt({ ...sides, after: ' \n' }, testModel)).not.toHaveProperty('suffix');
  });

  it('continues the nearest text where the model cannot', () => {
    const prompt = continuationPrompt(sides, { ...testModel, infill: false });
    expect(prompt).toEqual({ prompt: 'x'.repeat(1536) });
  });
});
