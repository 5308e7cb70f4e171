import { expect, test } from 'vitest';
import { readAuthKey } from './auth.js';
import { readAdminFrame, readResponse } from './read-frames.js';
import type { DecodedLine } from './ndjson.js';

const line = (value: unknown): DecodedLine => ({ kind: 'line', text: JSON.stringify(value) });
const admin = { id: 'admin', type: 'status' };

test('a response frame of an unknown type is ignored, unknown keys are left out', () => {
  expect(readResponse(line({ id: 'admin', type: 'status', status: 'ready' }))).toEqual({ kind: 'ignored' });
  expect(readResponse(line({ id: 'a', type: 'token', content: 'x', later: 1 }))).toEqual({
    kind: 'frame',
    frame: { id: 'a', type: 'token', content: 'x' },
  });
});

test.each([{ id: 'a', type: 'token' }, { id: 'a', type: 'done', content: 'x' }, { id: 'a' }, [1]])(
  'a response frame that lacks what it must have is malformed: %#',
  (value) => {
    expect(readResponse(line(value))).toEqual({ kind: 'malformed' });
  },
);

test('row 52: admin frames are flat', () => {
  const frame = {
    ...admin,
    status: 'loading_model',
    phase: 'download',
    downloaded_bytes: 1,
    total_bytes: null,
    source_url: 'u',
  };
  expect(readAdminFrame(line(frame))).toEqual({ kind: 'frame', frame });
  const restarting = { ...admin, status: 'restarting', phase: 'kv_cache', n_ctx: 4096 };
  expect(readAdminFrame(line(restarting))).toEqual({ kind: 'frame', frame: restarting });
});

test('row 57: unknown states, phases and keys of admin frames are passed over', () => {
  expect(readAdminFrame(line({ ...admin, status: 'dreaming' }))).toEqual({ kind: 'ignored' });
  expect(readAdminFrame(line({ ...admin, status: 'loading_model', phase: 'later' }))).toEqual({
    kind: 'ignored',
  });
  expect(readAdminFrame(line({ ...admin, status: 'ready', later: 1 }))).toEqual({
    kind: 'frame',
    frame: { ...admin, status: 'ready' },
  });
});

test('row 40: the key is read from an auth frame and from nothing else', () => {
  expect(readAuthKey(line({ type: 'auth', key: 'k' }))).toBe('k');
  expect(readAuthKey(line({ type: 'auth' }))).toBeUndefined();
  expect(readAuthKey(line({ type: 'auth', key: 1 }))).toBeUndefined();
  expect(readAuthKey(line({ key: 'k' }))).toBeUndefined();
  expect(readAuthKey({ kind: 'malformed' })).toBeUndefined();
});
