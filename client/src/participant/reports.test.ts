import type { Health, ModelEntry } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { healthReport, modelsReport, queueReport } from './reports.js';

const model = { id: 'm', displayName: 'Model *M*', contextSize: 4096, sizeBytes: 1e9, infill: true };
const health: Health = {
  state: 'ready',
  version: '1.2.3',
  pid: 42,
  uptimeMs: 120_000,
  adminSocketPath: '/admin',
  logPath: '/log',
  backends: [{ name: 'llama', state: { kind: 'ready' }, breaker: 'closed', model, tokensPerSecond: 12 }],
  admission: { activePermits: 4, permitsInUse: 1, queueDepth: 10, queued: 0 },
};
const entry: ModelEntry = {
  name: 'small',
  displayName: 'Small',
  sizeBytes: 2e9,
  state: 'absent',
  chosen: false,
  stored: true,
  purpose: 'generate',
  chatTemplate: true,
  infill: false,
};

describe('what @hearth tells of the daemon', () => {
  it('is its state with the figures of each backend, and no markup of a name', () => {
    const report = healthReport(health, { kind: 'ready', model });
    expect(report).toContain('Hearth 1.2.3 is **ready** on this machine, as process 42, for 2 min.');
    expect(report).toContain('Model \\*M\\*');
    expect(report).toContain('  - **Context**: 4,096 tokens');
  });

  it('says what can be done where there is none', () => {
    expect(healthReport(undefined, { kind: 'stopped' })).toContain('Restart Sidecar');
    expect(healthReport(undefined, { kind: 'failed', reason: 'No such file.' })).toContain('No such file.');
    expect(modelsReport({ models: [], catalogue: [], freeBytes: 0 }, undefined)).toContain('Add one');
    expect(queueReport(undefined, [])).toContain('not running');
  });

  it('has the models, the one that answers first', () => {
    const chosen: ModelEntry = { ...entry, name: 'big', displayName: 'Big', chosen: true, state: 'ready' };
    const report = modelsReport({ models: [entry, chosen], catalogue: [], freeBytes: 3e9 }, health);
    expect(report.split('\n').slice(0, 3)).toEqual([
      '- **Big** (answers now): `big` · 2.0 GB · ready',
      '- Small: `small` · 2.0 GB · not loaded',
      '- Model \\*M\\*: `m` · ready',
    ]);
  });

  it('has what runs and waits', () => {
    const stream = { streamId: 's', client: 'chat', stage: 'queued', startedAt: '', tokens: 0 } as const;
    expect(queueReport(health, [stream])).toContain('- **chat**: waiting');
    expect(queueReport(health, [])).toMatch(/Nothing is being generated. Running: 1 of 4./);
  });
});
