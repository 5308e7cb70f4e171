import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Page } from 'playwright-core';
import { testUrl } from '../../../client/dev/editor-server.mjs';
import { buildHostTests } from '../../../client/dev/host-tests.mjs';
import { inRoot, root } from '../../../client/dev/paths.mjs';
import { openBrowser, takeScreenshot } from './browser.js';
import type { HostResults } from './host-results.js';
import { startTestEditor } from './test-editor.js';

const resultsFile = inRoot('test/output/host/results.json');
/** What the extension host and the workbench printed. */
const outputFile = inRoot('test/output/host/output.log');

export interface HostRun {
  /** VS Code's exit code: 0 where every test passed. */
  readonly exitCode: number;
  readonly results: HostResults;
}

/**
 * Runs test/vscode/host inside a real extension host: starts VS Code with the extension in development, has it load
 * the suites, and waits for its exit.
 *
 * @param options timeoutMs: from the page's opening to the exit; no exit by then is a failure
 * @throws Error where VS Code gave no exit or no results
 */
export async function runHostTests({ timeoutMs = 600_000 } = {}): Promise<HostRun> {
  const tests = await buildHostTests();
  const editor = await startTestEditor({
    automation: true,
    files: { 'add.ts': 'export function add(a: number, b: number): number {\n  return a + b;\n}\n' },
    env: { HEARTH_TEST_RESULTS: resultsFile },
  });
  const output: string[] = [];
  try {
    const { browser, page } = await openBrowser();
    try {
      const url = testUrl(editor.server, { extension: root, tests });
      return { exitCode: await exitOf(page, url, output, timeoutMs), results: readResults() };
    } catch (error) {
      await takeScreenshot(page, 'host-tests-failed').catch(() => undefined);
      throw new Error(`${error instanceof Error ? error.message : String(error)}. See ${outputFile}`, {
        cause: error,
      });
    } finally {
      await browser.close();
    }
  } finally {
    writeFileSync(outputFile, output.join('\n'));
    await editor.stop();
  }
}

/** Opens the page and waits for VS Code's exit code. Collects what is printed meanwhile in `output`. */
async function exitOf(page: Page, url: string, output: string[], timeoutMs: number): Promise<number> {
  let timer: NodeJS.Timeout | undefined;
  try {
    // VS Code calls these two when it runs for its own automated tests.
    await page.exposeFunction('codeAutomationLog', (_type: string, values: readonly unknown[]) => {
      output.push(
        values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' '),
      );
    });
    const exit = new Promise<number>((resolve, reject) => {
      page
        .exposeFunction('codeAutomationExit', resolve)
        .then(() => page.goto(url))
        .catch(reject);
      timer = setTimeout(() => {
        reject(new Error(`VS Code's tests did not end within ${timeoutMs / 1000} s`));
      }, timeoutMs);
    });
    return await exit;
  } finally {
    clearTimeout(timer);
  }
}

function readResults(): HostResults {
  if (!existsSync(resultsFile)) throw new Error('VS Code ended without the results of its tests');
  return JSON.parse(readFileSync(resultsFile, 'utf8')) as HostResults;
}
