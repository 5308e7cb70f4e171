import { describe, expect, it } from 'vitest';
import { modelBudget } from './model-information.js';
import { requestOptions } from './request-options.js';

describe('options of a chat request', () => {
  it('are passed on where they are known, and named where not', () => {
    const options = { temperature: 0, seed: 7, stop: 'end', temprature: 1, top_p: 'high' };
    expect(requestOptions(options, 256)).toEqual({
      sampling: { max_tokens: 256, temperature: 0, seed: 7, stop: ['end'] },
      unknown: ['temprature', 'top_p'],
    });
  });

  it('cannot make an answer longer than the model may give', () => {
    expect(requestOptions({ max_tokens: 9999 }, 256).sampling.max_tokens).toBe(256);
    expect(requestOptions({ max_tokens: 5 }, 256).sampling.max_tokens).toBe(5);
  });
});

describe('what chat is told of a model', () => {
  it('is the context that it runs with, less the room for an answer', () => {
    expect(modelBudget({ contextSize: 1024 })).toEqual({ maxInputTokens: 768, maxOutputTokens: 256 });
    expect(modelBudget({ contextSize: 32_768 })).toEqual({ maxInputTokens: 28_672, maxOutputTokens: 4096 });
  });
});
