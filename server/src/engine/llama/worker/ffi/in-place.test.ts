import { execFile } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { writeTinyGguf } from '../../../../models/testing/tiny-gguf.js';
import { bundleScript, type TestWorker } from '../../testing.js';

/** Decodes that hold up their thread, in a process of their own. */

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let script: TestWorker;
let model: string;

beforeAll(async () => {
  script = await bundleScript(new URL('./testing/in-place.ts', import.meta.url), 'in-place.mjs');
  model = path.join(path.dirname(script.path), 'tiny.gguf');
  await writeTinyGguf(model);
});

afterAll(() => script.dispose());

test('what this thread decodes is the same to the last bit; too long, it is aborted and taken back; unwatched, it is not done here', async () => {
  const said = await new Promise<string>((resolve) => {
    execFile(process.execPath, [script.path, model], { timeout: 100_000 }, (_error, stdout) => {
      resolve(stdout.trim());
    });
  });
  expect(JSON.parse(said)).toEqual({
    isSame: true,
    turnsHere: 0,
    outcome: 'aborted',
    isTakenBack: true,
    next: 'done',
    same: true,
    unwatched: 'done',
  });
});
