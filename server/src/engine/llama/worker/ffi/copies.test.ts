import { execFile } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { writeTinyGguf } from '../../../../models/testing/tiny-gguf.js';
import { bundleScript, type TestWorker } from '../../testing.js';

/** Copies between sequences with memory of their own, in a process of their own. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let script: TestWorker;
let model: string;

beforeAll(async () => {
  script = await bundleScript(new URL('./testing/copies.ts', import.meta.url), 'copies.mjs');
  model = path.join(path.dirname(script.path), 'tiny.gguf');
  await writeTinyGguf(model);
});

afterAll(() => script.dispose());

function run(mode: 'guarded' | 'raw'): Promise<string> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script.path, mode, model], { timeout: 100_000 }, (_error, stdout) => {
      resolve(stdout.trim());
    });
  });
}

test('a part of a sequence is copied; until its cells are there nobody saves or overwrites them; what was aborted is gone', async () => {
  expect(JSON.parse(await run('guarded'))).toEqual({
    isSame: true,
    early: true,
    overwritten: false,
    late: true,
    outcome: 'aborted',
    isTakenBack: true,
  });
});

test('copying a part past the guard is the end of the process', async () => {
  expect(await run('raw')).toBe('');
});
