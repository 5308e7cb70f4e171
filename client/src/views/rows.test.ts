import type { ActivityRecord, ModelInfo, StreamInfo } from '@hearth/protocol';
import { describe, expect, it } from 'vitest';
import { testHealth, testModel } from '../sidecar/test-health.js';
import { activityRows, filterWords, noFilter, type ActivityFilter } from './activity-rows.js';
import { backendRows } from './backend-rows.js';
import { redraw, type Row } from './row.js';
import { streamOfRow, streamRows } from './stream-rows.js';

const labels = (rows: readonly Row[] | undefined): readonly string[] =>
  (rows ?? []).map(({ label, description }) => [label, description].filter(Boolean).join(': '));

describe('the Backends view', () => {
  const ready = { kind: 'ready', model: testModel } as const;

  it('shows model, state, context, speed, breaker, worker and what is in use', () => {
    const rows = backendRows(testHealth({ tokensPerSecond: 1830, workerPid: 4711 }), ready);
    expect(labels(rows)).toEqual(['Pilot: ready', 'Requests: 1/4 running, 2/10 waiting']);
    expect(labels(rows[0]?.children)).toEqual([
      'Context: 1,024 tokens',
      'Size: 4.6 MB',
      'Fill in the middle: yes',
      'Speed: 1,830 tok/s',
      'Breaker: closed',
      'Worker process: 4711',
    ]);
  });

  it('says what is done about it where no sidecar speaks, and is empty where nothing is', () => {
    const restarting = { kind: 'restarting', attempt: 1, delayMs: 1, reason: 'Killed.' } as const;
    expect(labels(backendRows(undefined, restarting))).toEqual(['Sidecar: restarting (1): Killed.']);
    expect(backendRows(undefined, { kind: 'failed', reason: 'x' })).toEqual([]);
  });

  it('says what computes, and why it is not a graphics card', () => {
    const computedBy = (accelerator: NonNullable<ModelInfo['accelerator']>): Row | undefined => {
      const rows = backendRows(testHealth({ model: { ...testModel, accelerator } }), ready);
      return rows[0]?.children?.find(({ label }) => label === 'Computed by');
    };
    const reason = 'Vulkan: the driver is missing.';
    expect(computedBy({ kind: 'cpu', cpuVariant: 'zen4' })).toMatchObject({
      description: 'processor (zen4)',
    });
    expect(computedBy({ kind: 'cpu', reason })).toMatchObject({
      description: 'processor: no graphics card',
      tooltip: expect.stringContaining('the driver is missing') as string,
    });
    expect(computedBy({ kind: 'cuda', device: 'RTX 4090', gpuLayers: 29 })).toMatchObject({
      description: 'RTX 4090 by cuda, 29 layers',
    });
  });

  it('says why a backend failed', () => {
    const state = { kind: 'failed', code: 'internal', reason: 'It broke.' } as const;
    expect(backendRows(testHealth({ state }), ready)[0]?.description).toBe('failed: It broke.');
  });
});

describe('the Streams view', () => {
  const stream: StreamInfo = {
    streamId: 's-1',
    client: 'ghost text',
    stage: 'decode',
    startedAt: '2026-01-01T00:00:00Z',
    tokens: 1200,
    tokensPerSecond: 800,
  };

  it('shows for whom, where it is and how fast; a row knows its stream', () => {
    const rows = streamRows([stream, { ...stream, streamId: 's-2', stage: 'queued', tokens: 0 }]);
    expect(labels(rows)).toEqual(['ghost text: writing · 1,200 tokens · 800 tok/s', 'ghost text: waiting']);
    expect(rows.map(streamOfRow)).toEqual(['s-1', 's-2']);
  });

  it('redraws only the stream whose figures moved', () => {
    const before = streamRows([stream, { ...stream, streamId: 's-2' }]);
    const after = streamRows([stream, { ...stream, streamId: 's-2', tokens: 1201 }]);
    expect(redraw(before, before)).toEqual({ kind: 'rows', rows: [] });
    expect(redraw(before, after)).toEqual({ kind: 'rows', rows: [after[1]] });
    expect(redraw(before, after.slice(1))).toEqual({ kind: 'all' });
  });
});

describe('the Activity view', () => {
  const at = (second: number): string => `2026-01-01T00:00:0${second}.000Z`;
  const records: readonly ActivityRecord[] = [
    { t: at(1), level: 'info', component: 'daemon', msg: 'daemon_ready', startup_ms: 90 },
    { t: at(2), level: 'debug', component: 'rpc', msg: 'connection_accepted', transport: 'stdio' },
    { t: at(3), level: 'warn', component: 'router', msg: 'breaker_opened', backend: 'llama' },
    { t: at(3), level: 'warn', component: 'router', msg: 'breaker_opened', backend: 'mock' },
  ];

  it('is newest first, and its rows have ids of their own', () => {
    const rows = activityRows(records, noFilter);
    expect(rows.map(({ label }) => label)).toEqual([
      'breaker opened',
      'breaker opened',
      'connection accepted',
      'daemon ready',
    ]);
    expect(new Set(rows.map(({ id }) => id)).size).toBe(4);
  });

  it('keeps the id of a row when others come or are filtered out', () => {
    const one = activityRows(records, noFilter).at(0)?.id;
    expect(activityRows(records, { ...noFilter, level: 'warn' }).at(0)?.id).toBe(one);
  });

  it('filters by level and by event, and says so', () => {
    const filter: ActivityFilter = { level: 'warn', events: new Set(['breaker_opened', 'daemon_ready']) };
    expect(activityRows(records, filter)).toHaveLength(2);
    expect(filterWords(filter)).toBe('warn and worse, 2 events');
    expect(filterWords({ level: undefined, events: new Set(['daemon_ready']) })).toBe('daemon ready');
    expect(filterWords(noFilter)).toBeUndefined();
  });

  it('shows every field in the tooltip', () => {
    expect(activityRows(records, noFilter)[0]?.tooltip).toMatch(/router[\s\S]*backend.*mock/);
  });
});
