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
  const mocha = new Mocha({ ui: 'bdd', timeout: 60_000, color: false });
  const files = readdirSync(__dirname).filter((name) => name.endsWith('.test.cjs'));
  for (const file of files) mocha.addFile(path.join(__dirname, file));
  const results: HostResults = { passed: [], failed: [], skipped: [] };
  const began = performance.now();
  const failures = await new Promise<number>((resolve) => {
    mocha
      .run(resolve)
      .on('pass', (test) => results.passed.push({ title: test.fullTitle(), ms: test.duration ?? 0 }))
      .on('pending', (test) => results.skipped.push({ title: test.fullTitle() }))
      .on('fail', (test, error: unknown) => {
        const reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
        results.failed.push({ title: test.fullTitle(), reason });
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
