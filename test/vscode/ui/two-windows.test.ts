import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { commandLine, descendants } from '../../support/processes.js';
import { takeScreenshot } from '../harness/browser.js';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { askHealth, readyEntry, runCommand } from './hearth-page.js';

/** Two windows of one VS Code, each with an extension host and a sidecar of its own, and one model between them. */

let workbench: Workbench;
let second: Page;

beforeAll(async () => {
  workbench = await openWorkbench({
    files: { 'a.ts': 'export const answer = 42;\n' },
    settings: { 'workbench.secondarySideBar.defaultVisibility': 'hidden' },
  });
  await readyEntry(workbench.page).waitFor();
  second = await workbench.page.context().newPage();
  second.setDefaultTimeout(60_000);
  await second.goto(workbench.editor.server.url);
  await readyEntry(second).waitFor();
});

afterAll(async () => {
  await workbench.stop();
});

function running(program: RegExp): number {
  return descendants(workbench.editor.server.pid).filter(({ pid }) => program.test(commandLine(pid))).length;
}

test('given two windows, then the second relays to the first, and there is one model', async () => {
  const health = await askHealth(workbench.editor.runtimeDirectory);
  expect(health.state).toBe('ready');
  expect(running(/hearth\.cjs/)).toBe(2);
  expect(running(/engine-worker\.mjs/)).toBe(1);
});

test('given an answer streaming in the second window, when the first is closed, then the answer goes on', async () => {
  onTestFailed(async () => {
    await takeScreenshot(second, 'two-windows-failed');
  });
  const before = await askHealth(workbench.editor.runtimeDirectory);
  await runCommand(second, 'Hearth: Ask…');
  const input = second.locator('.quick-input-widget .quick-input-box input').first();
  await input.fill('Write a long program.');
  await second.keyboard.press('Enter');
  await second.locator('.tab').filter({ hasText: 'Write a long' }).waitFor();
  await workbench.page.close({ runBeforeUnload: true });
  await second
    .locator('.notifications-toasts .notification-list-item')
    .filter({ hasText: 'asking' })
    .waitFor({ state: 'detached' });
  // The first window's extension host has gone, and with it the editor of the sidecar that holds the model.
  await expect.poll(() => running(/type=extensionHost/), { timeout: 60_000 }).toBe(1);
  const after = await askHealth(workbench.editor.runtimeDirectory);
  expect({ pid: after.pid, worker: after.backends[0]?.workerPid }).toEqual({
    pid: before.pid,
    worker: before.backends[0]?.workerPid,
  });
  await readyEntry(second).waitFor();
  await takeScreenshot(second, 'two-windows');
});
