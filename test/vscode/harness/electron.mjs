import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { runTests } from '@vscode/test-electron';
import { buildHostTests } from '../../../client/dev/host-tests.mjs';
import { inRoot, root } from '../../../client/dev/paths.mjs';

/**
 * `npm run test:electron`: the suites of test/vscode/host in a desktop VS Code, which is downloaded. Needs a display
 * (`xvfb-run -a` gives one). No part of `npm test`, which runs the same suites in code-server.
 */

const tests = await buildHostTests();
const directory = mkdtempSync(path.join(os.tmpdir(), 'hel-'));
const results = inRoot('test/output/host/results.json');
try {
  await runTests({
    version: process.env.VSCODE_VERSION ?? 'stable',
    extensionDevelopmentPath: root,
    extensionTestsPath: tests,
    launchArgs: [
      directory,
      '--user-data-dir',
      path.join(directory, 'user'),
      '--disable-extensions',
      '--disable-workspace-trust',
    ],
    extensionTestsEnv: {
      HEARTH_TEST_RESULTS: results,
      HEARTH_RUNTIME_DIR: path.join(directory, 'run'),
      HEARTH_LOG_DIR: path.join(directory, 'log'),
    },
  });
  const { passed, skipped } = JSON.parse(readFileSync(results, 'utf8'));
  process.stdout.write(`${passed.length} passed, 0 failed, ${skipped.length} skipped\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
