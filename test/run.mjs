import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { provideCodeServer } from '../client/dev/code-server.mjs';
import { complain, Failure, readFlags, say, since, step, total } from '../client/dev/console.mjs';
import { install } from '../client/dev/install.mjs';
import { inRoot, root } from '../client/dev/paths.mjs';
import { run } from '../client/dev/processes.mjs';

/** `npm test`: installs what is missing and runs everything. `npm test -- lint unit` runs only those steps. */

const counts = { passed: 0, failed: 0, skipped: 0 };
const stopping = new AbortController();
const { signal } = stopping;
for (const name of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(name, () => {
    stopping.abort(new Failure('Stopped.'));
  });
}

/**
 * Every step in order, by the name that selects it.
 *
 * @type {Record<string, { title: string, needs?: string[], run: (note: (text: string) => void) => Promise<unknown> }>}
 */
const steps = {
  format: {
    title: 'Format',
    run: () => tool('prettier/bin/prettier.cjs', ['--check', '.', '--log-level', 'warn']),
  },
  lint: { title: 'Lint', run: () => tool('eslint/bin/eslint.js', ['.', '--max-warnings', '0']) },
  types: { title: 'Types', run: () => tool('typescript/bin/tsc', ['-b']) },
  build: { title: 'Build', run: () => run(process.execPath, [inRoot('esbuild.mjs')], { cwd: root, signal }) },
  unit: { title: 'Unit tests', run: (note) => vitest('unit', note) },
  acceptance: { title: 'Acceptance tests', needs: ['build'], run: (note) => vitest('acceptance', note) },
  vscode: { title: 'VS Code tests', needs: ['build'], run: (note) => vitest('vscode', note) },
};

/** @type {string[]} */
const broken = [];
/** One line for each test that failed, and for each that passed only when it was tried again. */
const failures = /** @type {string[]} */ ([]);
const wobbly = /** @type {string[]} */ ([]);
const skipsVscode = process.env.HEARTH_SKIP_VSCODE === '1';
try {
  await main(process.argv.slice(2));
} catch (error) {
  complain(error);
  broken.push('preparation');
}
say();
if (broken.length > 0) say(`Failed: ${broken.join(', ')} (${total()})`);
else say(`Everything passed (${total()})`);
if (skipsVscode) say('The VS Code tests were SKIPPED, because HEARTH_SKIP_VSCODE=1 is set.');
say(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
for (const line of wobbly) say(`Passed only at the second try: ${line}`);
// Last, so that whoever sees only the end of a long log sees what to look at.
for (const line of failures) say(`Failed: ${line}`);
process.exit(broken.length > 0 ? 1 : 0);

/** @param {readonly string[]} args */
async function main(args) {
  const { rest } = readFlags('npm test --', args, {});
  const wrong = rest.filter((name) => !(name in steps));
  if (wrong.length > 0) {
    throw new Failure(
      `There is no step ${wrong.join(', ')}. The steps are: ${Object.keys(steps).join(', ')}.`,
    );
  }
  const wanted = new Set(rest.length === 0 ? Object.keys(steps) : rest);
  for (const name of [...wanted]) for (const needed of steps[name]?.needs ?? []) wanted.add(needed);
  if (skipsVscode) wanted.delete('vscode');

  await install({ signal });
  if (wanted.has('vscode')) {
    await provideChromium();
    await provideCodeServer({ signal });
  }
  await checkAtOnce(Object.keys(steps).filter((name) => wanted.has(name) && isCheck(name)));
  for (const [name, { title, run: work }] of Object.entries(steps)) {
    if (!wanted.has(name) || isCheck(name)) continue;
    signal.throwIfAborted();
    try {
      await step(title, work);
    } catch (error) {
      complain(error);
      broken.push(title.toLowerCase());
      // Tests of a build that was not made would only repeat that.
      if (name === 'build') return;
    }
  }
}

/** @param {string} name */
function isCheck(name) {
  return name === 'format' || name === 'lint' || name === 'types';
}

/**
 * Runs the checks of the source beside each other: each of them keeps one core busy.
 *
 * @param {readonly string[]} names
 */
async function checkAtOnce(names) {
  if (names.length === 0) return;
  const titles = names.map((name) => steps[name]?.title ?? name);
  await step(titles.join(', '), async (note) => {
    const ended = await Promise.allSettled(names.map((name) => steps[name]?.run(note)));
    for (const [index, one] of ended.entries()) {
      if (one.status === 'fulfilled') continue;
      complain(one.reason);
      broken.push((titles[index] ?? '').toLowerCase());
    }
    if (broken.length > 0) throw new Failure(`Failed: ${broken.join(', ')}`);
  }).catch(() => undefined);
  signal.throwIfAborted();
}

/**
 * Runs a tool from node_modules on this Node.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {(line: string) => void} [onLine]
 */
function tool(program, args, onLine) {
  const all = [inRoot('node_modules', program), ...args];
  const env = { ...process.env, ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }) };
  return run(process.execPath, all, { cwd: root, env, signal, keep: Infinity, ...(onLine && { onLine }) });
}

/**
 * Runs a project of vitest.config.mts and counts its tests.
 *
 * @param {string} project
 * @param {(text: string) => void} note
 */
async function vitest(project, note) {
  const report = inRoot('test/output', `${project}.json`);
  rmSync(report, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
  let seen = 0;
  try {
    await tool('vitest/vitest.mjs', ['run', '--project', project, ...reporters], (line) => {
      // A line of a file, not one of a slow test in it.
      if (/^ [✓❯] /.test(line.replaceAll(/\u001B\[\d+m/g, ''))) note(`${++seen} files`);
    });
  } finally {
    const found = countsOf(report);
    counts.passed += found.passed;
    counts.failed += found.failed;
    counts.skipped += found.skipped;
    failures.push(...found.failures);
    wobbly.push(...found.wobbly);
    if (found.passed > 0 || found.failed > 0) {
      say(`  ${found.passed} passed, ${found.failed} failed, ${found.skipped} skipped`);
    }
  }
}

/**
 * How many tests came out how, and a line for each failure.
 *
 * @param {string} report a JSON report of vitest's; a run that ended without one failed once
 */
function countsOf(report) {
  if (!existsSync(report)) {
    return { passed: 0, failed: 1, skipped: 0, failures: ['vitest wrote no report'], wobbly: [] };
  }
  /** @type {{ numPassedTests: number, numFailedTests: number, numPendingTests: number, numTodoTests: number,
   *   testResults: { name: string, message: string, status: string,
   *     assertionResults: { status: string, fullName: string, failureMessages: string[] }[] }[] }} */
  const result = JSON.parse(readFileSync(report, 'utf8'));
  const line = (
    /** @type {string} */ file,
    /** @type {string} */ test,
    /** @type {string | undefined} */ why,
  ) => [path.relative(root, file), test, why?.split('\n', 1)[0]].filter(Boolean).join(' > ').slice(0, 300);
  const tests = result.testResults.flatMap((file) =>
    file.assertionResults.map(({ status, fullName, failureMessages }) => ({
      status,
      line: line(file.name, fullName, failureMessages[0]),
      wasTriedAgain: failureMessages.length > 0 && status === 'passed',
    })),
  );
  // A file that could not be loaded, or prepared, has no test that failed.
  const unloaded = result.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed'),
  );
  return {
    passed: result.numPassedTests,
    failed: result.numFailedTests + unloaded.length,
    skipped: result.numPendingTests + result.numTodoTests,
    failures: [
      ...unloaded.map((file) => line(file.name, '', file.message)),
      ...tests.filter(({ status }) => status === 'failed').map((test) => test.line),
    ],
    wobbly: tests.filter(({ wasTriedAgain }) => wasTriedAgain).map((test) => test.line),
  };
}

/** Makes sure that there is a browser for the VS Code tests. */
async function provideChromium() {
  const { chromiumPath, findChromium } = await import('../client/dev/chromium.mjs');
  if (findChromium() !== undefined) return;
  const isDebian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get');
  if (process.env.CHROMIUM_PATH === undefined && isDebian && process.getuid?.() === 0) {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    await step('Installing Chromium (350 MB, once)', async (note) => {
      const onLine = (/** @type {string} */ line) => {
        note(line.slice(0, 60));
      };
      await run('apt-get', ['update'], { env, onLine, signal });
      await run('apt-get', ['install', '-y', '--no-install-recommends', 'chromium'], { env, onLine, signal });
    });
  }
  chromiumPath();
}
