import type { BackendHealth, Health, ModelAbilities } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { groupSettings, offeredModels } from './offered-models.js';

const abilities: ModelAbilities = {
  generate: true,
  tools: true,
  vision: false,
  thinking: true,
  tokenize: true,
};

function backend(id: string, changes: Partial<BackendHealth> = {}): BackendHealth {
  const model = { id, displayName: id.toUpperCase(), contextSize: 4096, sizeBytes: 1, infill: false };
  return { name: id, state: { kind: 'ready' }, breaker: 'closed', model, abilities, ...changes };
}

function health(...backends: BackendHealth[]): Health {
  const admission = { activePermits: 1, permitsInUse: 0, queueDepth: 1, queued: 0 };
  const places = { adminSocketPath: '/admin', logPath: '/log' };
  return { state: 'ready', version: '1', pid: 1, uptimeMs: 0, ...places, backends, admission };
}

describe('the models that VS Code is offered', () => {
  it('are those that answer now, each once, with what they can do', () => {
    const embedder = backend('embedder', { abilities: { ...abilities, generate: false } });
    const loading = backend('loading', { state: { kind: 'starting' } });
    const offered = offeredModels(health(backend('one'), backend('one'), embedder, loading, backend('two')));
    expect(offered.map(({ id }) => id)).toEqual(['one', 'two']);
    expect(offered[0]).toMatchObject({ maxInputTokens: 3072, maxOutputTokens: 1024, abilities });
  });

  it('call no tools where an older daemon does not say what they can do', () => {
    const { abilities: _, ...older } = backend('one');
    expect(offeredModels(health(older))[0]?.abilities).toMatchObject({ generate: true, tools: false });
  });

  it('have a name of their own in a group that sets something', () => {
    const settings = groupSettings({ temperature: 0, thinking: false, maxOutputTokens: 100, other: 1 });
    expect(offeredModels(health(backend('one')), settings)[0]).toMatchObject({
      id: 'one (temperature 0, at most 100 tokens, no thinking)',
      name: 'ONE (temperature 0, at most 100 tokens, no thinking)',
      model: 'one',
      maxOutputTokens: 100,
    });
  });
});

describe('the settings of a group', () => {
  it('are those that can be used; without any, the group offers nothing new', () => {
    expect(groupSettings({ temperature: -1, maxOutputTokens: 'many', thinking: true })).toEqual({
      thinking: true,
    });
    for (const nothing of [undefined, null, 'x', {}, { temperature: 'hot' }])
      expect(groupSettings(nothing)).toBeUndefined();
  });
});
