import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Mocha from 'mocha';
import type { HostResults } from './host-results.js';

/**
 * What VS Code runs inside the extension host: the test files that lie beside this one, through mocha. Bundled to
 * CommonJS, as VS Code loads it with `require`. The results go to the file `$HEARTH_TEST_RESULTS`.
 *
 * @throws Error where a test failed, which VS Code turns into its exit code
 */
export async function run(): Promise<void> {
  // A second try for an unlucky moment of a busy machine, as all other tests have.
  const mocha = new Mocha({ ui: 'bdd', timeout: 120_000, color: false, retries: 1 });
  const files = readdirSync(__dirname).filter((name) => name.endsWith('.test.cjs'));
  for (const file of files) mocha.addFile(path.join(__dirname, file));
  const results: HostResults = { passed: [], failed: [], retried: [], skipped: [] };
  const began = performance.now();
  const failures = await new Promise<number>((resolve) => {
    mocha
      .run(resolve)
      .on('pass', (test) => results.passed.push({ title: test.fullTitle(), ms: test.duration ?? 0 }))
      .on('pending', (test) => results.skipped.push({ title: test.fullTitle() }))
      .on('retry', (test: Mocha.Test, error: unknown) => {
        results.retried.push({ title: test.fullTitle(), reason: reasonOf(error) });
      })
      .on('fail', (test, error: unknown) => {
        results.failed.push({ title: test.fullTitle(), reason: reasonOf(error) });
      });
  });
  const file = process.env['HEARTH_TEST_RESULTS'];
  if (file !== undefined) writeFileSync(file, JSON.stringify(results));
  // Mocha's own lines arrive with their placeholders unfilled.
  // eslint-disable-next-line no-console -- VS Code carries the extension host's console to the test runner.
  console.log(
    `Host tests: ${results.passed.length} passed, ${failures} failed in ${Math.round(performance.now() - began)} ms`,
  );
  if (failures > 0) throw new Error(`${failures} tests failed`);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
