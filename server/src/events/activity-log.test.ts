import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type ActivityEvent, activityEventSchema, type ActivityRecord } from '@hearth/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type ActivityLog,
  type ActivityLogOptions,
  createActivityLog,
  createNullActivityLog,
  recentCapacity,
  resolveLogDirectory,
} from './activity-log.js';

let root: string;
const logs: ActivityLog[] = [];
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'hearth-activity-'));
});
afterEach(() => {
  for (const log of logs.splice(0)) log.close();
  fs.rmSync(root, { recursive: true, force: true });
});

const now = (): Date => new Date('2026-01-02T03:04:05.678Z');
function open(options: Partial<ActivityLogOptions> = {}): ActivityLog {
  const log = createActivityLog({ directory: path.join(root, 'logs'), now, ...options });
  logs.push(log);
  return log;
}
const raw = (): string => fs.readFileSync(path.join(root, 'logs', 'hearth.ndjson'), 'utf8');
const lines = (): unknown[] =>
  raw()
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);

const done: ActivityEvent = {
  msg: 'request_done',
  req_id: 'r1',
  backend: 'mock',
  stop_reason: 'end',
  prompt_tokens: 3,
  completion_tokens: 5,
  queue_ms: 0,
  total_ms: 12,
};

describe('row 88: the record', () => {
  it('is one JSON object a line with t, level, component, msg and its fields, and nothing else', () => {
    const log = open();
    log.record('info', 'daemon', { msg: 'daemon_ready', startup_ms: 42 });
    log.record('warn', 'router', { msg: 'breaker_opened', backend: 'mock' });
    expect(raw().endsWith('\n')).toBe(true);
    expect(lines()).toEqual([
      {
        t: '2026-01-02T03:04:05.678Z',
        level: 'info',
        component: 'daemon',
        msg: 'daemon_ready',
        startup_ms: 42,
      },
      {
        t: '2026-01-02T03:04:05.678Z',
        level: 'warn',
        component: 'router',
        msg: 'breaker_opened',
        backend: 'mock',
      },
    ]);
  });

  it('S21: stays one line, whatever a name holds', () => {
    open().record('info', 'ndjson', { ...done, req_id: 'a\nb\u001b[31m"\\\u2028' });
    expect(raw().trimEnd()).not.toMatch(/[\n\u001b]/);
    expect(lines()).toMatchObject([{ req_id: 'a\nb\u001b[31m"\\\u2028' }]);
  });
});

it('row 89: request_done has its id, backend, stop reason and token counts', () => {
  open().record('info', 'generation', done);
  expect(lines()).toEqual([{ t: now().toISOString(), level: 'info', component: 'generation', ...done }]);
});

it('row 90: a mid-stream failure is a warning with its id and backend', () => {
  open().record('warn', 'generation', { msg: 'request_error_mid_stream', req_id: 'r1', backend: 'mock' });
  expect(lines()).toMatchObject([
    { level: 'warn', msg: 'request_error_mid_stream', req_id: 'r1', backend: 'mock' },
  ]);
});

describe('row 92: redaction', () => {
  const secret = `sk-${'a1B2c3D4'.repeat(3)}`;

  it('a secret in a request id is neither on disk, nor in memory, nor in the event', () => {
    const log = open();
    const seen: ActivityRecord[] = [];
    log.events.on('record', (record) => seen.push(record));
    log.record('info', 'generation', { ...done, req_id: `job ${secret}` });
    for (const text of [raw(), JSON.stringify(log.recent()), JSON.stringify(seen)]) {
      expect(text).not.toContain(secret);
      expect(text).toContain('[REDACTED:api-key]');
    }
  });

  it('a long request id is cut to 128 after it was redacted: no half of a secret is left', () => {
    const log = open();
    log.record('info', 'generation', { ...done, req_id: `${'x'.repeat(115)} ${secret}` });
    const [record] = log.recent();
    expect(record).toMatchObject({ req_id: `${'x'.repeat(115)} [REDACTED:ap` });
    expect(lines()).toEqual([record]);
  });

  it('no field of an event has a name that would be taken for a secret', () => {
    const log = open();
    log.record('info', 'generation', done);
    log.record('warn', 'tcp', { msg: 'tcp_auth_rejected', peer: '127.0.0.1' });
    expect(raw()).not.toContain('REDACTED');
    for (const option of activityEventSchema.options) {
      for (const name of Object.keys(option.shape))
        expect(name).not.toMatch(/password|secret|token$|key$|authorization/i);
    }
  });
});

it('row 93: the log rotates', () => {
  const log = open({ maxBytes: 300 });
  for (let n = 0; n < 40; n += 1) log.record('info', 'daemon', { msg: 'daemon_ready', startup_ms: n });
  const names = fs.readdirSync(path.join(root, 'logs')).toSorted();
  expect(names).toEqual(['hearth.ndjson', ...[1, 2, 3].map((n) => `hearth.ndjson.${n}`)]);
  for (const name of names) expect(fs.statSync(path.join(root, 'logs', name)).size).toBeLessThanOrEqual(300);
  expect(lines().at(-1)).toMatchObject({ startup_ms: 39 });
});

describe('row 94: the log directory', () => {
  it.each([
    ['what was asked for', '/a', { HEARTH_LOG_DIR: '/b' }, '/a'],
    ['HEARTH_LOG_DIR', undefined, { HEARTH_LOG_DIR: '/b' }, '/b'],
    ['the home directory', undefined, {}, '/home/ann/.hearth/logs'],
    ['the home directory where both are empty', '', { HEARTH_LOG_DIR: '' }, '/home/ann/.hearth/logs'],
  ])('is %s', (_name, explicit, env, expected) => {
    expect(resolveLogDirectory(explicit, env, '/home/ann')).toBe(expected);
  });

  it('holds hearth.ndjson', () => {
    const log = open();
    log.record('info', 'daemon', { msg: 'daemon_ready', startup_ms: 1 });
    expect(log.path).toBe(path.join(root, 'logs', 'hearth.ndjson'));
    expect(fs.existsSync(log.path)).toBe(true);
  });
});

describe('levels', () => {
  it('debug is off by default and on when asked for', () => {
    const quiet = createNullActivityLog();
    const loud = createNullActivityLog({ level: 'debug' });
    for (const log of [quiet, loud]) log.record('debug', 'daemon', { msg: 'daemon_ready', startup_ms: 1 });
    expect([quiet.recent().length, loud.recent().length]).toEqual([0, 1]);
  });

  it('what is below the level reaches neither disk nor listeners', () => {
    const log = open({ level: 'error' });
    let count = 0;
    log.events.on('record', () => (count += 1));
    log.record('warn', 'daemon', { msg: 'daemon_ready', startup_ms: 1 });
    log.record('error', 'daemon', { msg: 'internal_error', where: 'x', error: 'TypeError' });
    expect([count, lines().length]).toEqual([1, 1]);
  });
});

describe('memory', () => {
  it('keeps the last 200 records, oldest first', () => {
    const log = createNullActivityLog({ now });
    for (let n = 0; n < recentCapacity + 50; n += 1)
      log.record('info', 'daemon', { msg: 'daemon_ready', startup_ms: n });
    expect(log.recent().map((record) => record.msg === 'daemon_ready' && record.startup_ms)).toEqual(
      Array.from({ length: 200 }, (_, n) => n + 50),
    );
    expect(log.recent(2)).toEqual(log.recent().slice(-2));
    expect(log.recent(0)).toEqual([]);
  });

  it('gives a copy', () => {
    const log = createNullActivityLog();
    const before = log.recent();
    log.record('info', 'daemon', { msg: 'daemon_ready', startup_ms: 1 });
    expect(before).toEqual([]);
  });
});

describe('best effort', () => {
  it('a listener that throws stops neither the caller nor the log', () => {
    const log = open();
    log.events.on('record', () => {
      throw new Error('listener');
    });
    log.record('info', 'daemon', { msg: 'daemon_ready', startup_ms: 1 });
    log.record('info', 'daemon', { msg: 'daemon_ready', startup_ms: 2 });
    expect([lines().length, log.recent().length]).toEqual([2, 2]);
  });

  it('a directory that cannot be made is counted; memory and events go on', () => {
    fs.writeFileSync(path.join(root, 'logs'), 'in the way');
    const log = open();
    log.record('info', 'daemon', { msg: 'daemon_ready', startup_ms: 1 });
    expect([log.lost, log.problem, log.recent().length]).toEqual([1, 'EEXIST', 1]);
  });

  it('after close, records stay in memory and the file as it is', () => {
    const log = open();
    log.record('info', 'daemon', { msg: 'daemon_ready', startup_ms: 1 });
    log.close();
    log.record('info', 'daemon', { msg: 'daemon_ready', startup_ms: 2 });
    expect([lines().length, log.recent().length, log.lost]).toEqual([1, 2, 0]);
  });
});
