import { execFile } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { writeTinyGguf } from '../../../../models/testing/tiny-gguf.js';
import { bundleScript, type TestWorker } from '../../testing.js';

/**
 * Each guard, in a process of its own: through the guard the misuse is an error in JavaScript; past it the same call
 * ends the process, which shows that the guard is what stands between.
 */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let script: TestWorker;
let model: string;

beforeAll(async () => {
  script = await bundleScript(new URL('./testing/misuse.ts', import.meta.url), 'misuse.mjs');
  model = path.join(path.dirname(script.path), 'tiny.gguf');
  await writeTinyGguf(model);
});

afterAll(() => script.dispose());

function misuse(
  name: string,
  mode: 'guarded' | 'raw',
): Promise<{ readonly said: string; readonly signal: string | undefined }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script.path, name, mode, model], { timeout: 100_000 }, (error, stdout) => {
      resolve({ said: stdout.trim(), signal: error?.signal ?? undefined });
    });
  });
}

const deadly = [
  'decode after the context has ended',
  'decode without a context',
  'ending a context twice',
  'ending a model twice',
  'ending a context while it decodes',
  'choosing at a place without an outcome',
  'choosing with samplers that have ended',
  'more tokens than a batch holds',
  'more outcomes than there is room for',
  'a sequence that does not exist',
];
/** What ends a process only now and then, or does other harm. */
const harmful = [
  'a text longer than native code can count the tokens of (CVE-2025-52566)',
  'reading while it decodes',
  'a bias for a token that does not exist',
  'the text of a token that does not exist',
  'a model that goes before its context',
];

describe.each(deadly)('%s', (name) => {
  test('is an error, and past the guard the end of the process', async () => {
    const [guarded, raw] = await Promise.all([misuse(name, 'guarded'), misuse(name, 'raw')]);
    expect(guarded.said).toBe('guarded');
    expect(raw.said).toBe('');
    expect(['SIGSEGV', 'SIGABRT', 'SIGBUS']).toContain(raw.signal);
  });
});

test.each(harmful)('%s is an error', async (name) => {
  expect((await misuse(name, 'guarded')).said).toBe('guarded');
});
