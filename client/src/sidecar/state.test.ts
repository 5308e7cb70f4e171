import { describe, expect, it } from 'vitest';
import { stateOfHealth } from './state.js';
import { testHealth, testModel } from './test-health.js';

describe('the state that a health amounts to', () => {
  it('is ready with the model and its speed', () => {
    expect(stateOfHealth(testHealth({ tokensPerSecond: 12 }))).toEqual({
      kind: 'ready',
      model: testModel,
      tokensPerSecond: 12,
    });
  });

  it('is loading with phase and progress', () => {
    const state = { kind: 'loading', phase: 'mmap', progress: 0.5 } as const;
    expect(stateOfHealth(testHealth({ state }, { state: 'loading' }))).toEqual(state);
  });

  it('is still loading while the model is there and the sockets are not', () => {
    expect(stateOfHealth(testHealth({}, { state: 'loading' })).kind).toBe('loading');
  });

  it('is ready as long as one of several backends is', () => {
    const [ready] = testHealth().backends;
    const failed = testHealth({ name: 'b', state: { kind: 'failed', code: 'internal', reason: 'x' } })
      .backends[0];
    if (ready === undefined || failed === undefined) throw new Error('no backend');
    expect(stateOfHealth(testHealth({}, { backends: [failed, ready] })).kind).toBe('ready');
  });

  it('is failed with the reason of the backend', () => {
    const state = { kind: 'failed', code: 'model_load_failed', reason: 'Not a model.' } as const;
    expect(stateOfHealth(testHealth({ state }, { state: 'failed' }))).toEqual({
      kind: 'failed',
      reason: 'Not a model.',
    });
  });

  it('says so where a daemon failed that has no backend', () => {
    expect(stateOfHealth(testHealth({}, { state: 'failed', backends: [] })).kind).toBe('failed');
  });
});
