import { execFileSync } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Locator } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { askHealth, readyEntry, runCommand } from './hearth-page.js';

/**
 * The commands about code as a person meets them: palette, editor menu, lightbulb. The answers are scripted by what is
 * asked, so that what comes of each is known; the problems and the renaming are VS Code's own TypeScript's.
 */

const original = [
  'export function total(items: number[]): number {',
  '  let sum = 0;',
  '  for (const x of items) sum += x;',
  '  console.lgo(sum);',
  '  return sum;',
  '}',
  '',
  '// the end',
  '',
];
const fixed = original.slice(0, 6).map((line) => line.replace('lgo', 'log'));

const said = (when: string, ...texts: readonly string[]) => ({
  when,
  pieces: texts.map((text) => ({ text })),
});
const block = (lines: readonly string[]) => ['```ts\n', ...lines.map((line) => `${line}\n`), '```\n'];
const message = 'fix(total): add every item\n\nThe sum left the first one out, as nobody had noticed.';
const script = [
  said('The author says: slowly', ...'never '.repeat(400).split(/(?<= )/)),
  said('Write the commit message', ...message.split(/(?<= )/)),
  said('Explain the last error', 'There is no ', 'such file.'),
  said('Fix this problem', ...block(fixed)),
];

let workbench: Workbench;
let configuration: string;

beforeAll(async () => {
  configuration = await mkdtemp(path.join(os.tmpdir(), 'hearth-'));
  const file = path.join(configuration, 'config.json');
  writeFileSync(
    file,
    JSON.stringify({ engine: 'mock', mock: { tokens: ['(not scripted)'], script, token_delay_ms: 200 } }),
  );
  workbench = await openWorkbench({
    files: {
      'total.ts': original.join('\n'),
      'long.txt': 'a long line of text\n'.repeat(4000),
    },
    env: { HEARTH_CONFIG: file },
    settings: {
      'workbench.secondarySideBar.defaultVisibility': 'hidden',
      'editor.minimap.enabled': false,
      'files.autoSave': 'off',
      // Text that can be found on the page, in place of a picture.
      'terminal.integrated.gpuAcceleration': 'off',
      'hearth.inlineCompletions.enabled': false,
    },
  });
  await readyEntry(workbench.page).waitFor();
  await workbench.openFile('total.ts');
  // VS Code's TypeScript has read the file.
  await workbench.page.locator('.squiggly-error').first().waitFor();
});

afterAll(async () => {
  await workbench.stop();
  await rm(configuration, { recursive: true });
});

const line = (text: string): Locator =>
  workbench.page.locator('.editor-group-container .view-line').filter({ hasText: text }).first();
const lens = (title: string): Locator =>
  workbench.page.locator('.codelens-decoration a').filter({ hasText: title });

/** The cursor on a line of the code. */
async function goTo(text: string): Promise<void> {
  await line(text).click();
  await workbench.page.keyboard.press('Home');
}

/** Opens the lightbulb's menu and gives its entry. */
async function offered(title: string): Promise<Locator> {
  const { page } = workbench;
  await page.keyboard.press('Control+.');
  const entry = page.locator('.action-widget .monaco-list-row').filter({ hasText: title }).first();
  await entry.waitFor();
  return entry;
}

describe('what cannot be done', () => {
  it('is said, with what to do about it', async () => {
    keepPicture('cannot-failed');
    const { page } = workbench;
    await goTo('// the end');
    await runCommand(page, 'Hearth: Explain');
    await workbench.toast('Select the code that is meant').waitFor();
    await runCommand(page, 'Hearth: Fix This Problem');
    await workbench.toast('No problem is reported here').waitFor();
    await workbench.toastsMayCome();
    await runCommand(page, 'Notifications: Clear All Notifications');
    await page.keyboard.press('ArrowUp');
    await runCommand(page, 'Hearth: Suggest Names and Rename…');
    await workbench.toast('Place the cursor on the name').waitFor();
    await workbench.openFile('long.txt');
    await page.keyboard.press('Control+a');
    await runCommand(page, 'Hearth: Explain');
    await workbench.toast('This code is too long for').waitFor();
    await runCommand(page, 'Notifications: Clear All Notifications');
    await workbench.openFile('total.ts');
  });
});

describe('the lightbulb', () => {
  it('offers to fix a problem, and the fix is a change to be decided', async () => {
    keepPicture('lightbulb-failed');
    await goTo('console.lgo');
    await workbench.page.keyboard.press('F8');
    const fix = await offered('Fix with Hearth');
    await workbench.shot('lightbulb');
    await fix.click();
    await lens('Accept all').first().waitFor();
    await lens('Accept all').first().click();
    await line('console.log(sum)').waitFor();
    await line('console.lgo').waitFor({ state: 'detached' });
  });
});

describe('Generate Commit Message', () => {
  const git = (...args: readonly string[]): void => {
    const who = ['-c', 'user.name=Somebody', '-c', 'user.email=somebody@example.com'];
    execFileSync('git', [...who, ...args], { cwd: workbench.editor.workspace });
  };
  const button = (title: string) => workbench.page.locator(`.action-label[aria-label*="${title}"]`).first();
  const box = () => workbench.page.locator('.scm-editor .view-lines').first();
  const openChanges = async (): Promise<void> => {
    await workbench.page.keyboard.press('Control+Shift+G');
    await box().waitFor();
  };
  const boxText = async (): Promise<string> => (await box().innerText()).replaceAll('\u00A0', ' ').trim();

  beforeAll(async () => {
    git('init', '--quiet');
    git('add', '.');
    git('commit', '--quiet', '--message', 'Begin');
    await openChanges();
  });

  it('says that nothing is staged, and what to do', async () => {
    keepPicture('nothing-staged-failed');
    await openChanges();
    await button('Generate Commit Message').click();
    await workbench.toast('Nothing is staged').waitFor();
  });

  it('streams a message for what is staged into the box', async () => {
    keepPicture('commit-message-failed');
    appendFileSync(path.join(workbench.editor.workspace, 'total.ts'), '// more\n');
    git('add', 'total.ts');
    await openChanges();
    await button('Generate Commit Message').click();
    await box().filter({ hasText: 'fix(total): add' }).waitFor();
    const early = await boxText();
    await box().filter({ hasText: 'nobody had noticed.' }).waitFor();
    expect(early).not.toContain('noticed');
    await button('Generate Commit Message').waitFor();
    await workbench.page.mouse.move(900, 700);
    await workbench.page.locator('.workbench-hover').waitFor({ state: 'detached' });
    await workbench.shot('commit-message');
    // The box wraps its lines where it likes.
    expect((await boxText()).split(/\s+/)).toEqual(message.split(/\s+/));
  });

  it('stops at a click, and what stood there before comes back', async () => {
    keepPicture('commit-stop-failed');
    const { page } = workbench;
    await openChanges();
    await box().click();
    await page.keyboard.press('Control+a');
    await page.keyboard.type('slowly');
    await button('Generate Commit Message').click();
    await box().filter({ hasText: 'never never' }).waitFor();
    await button('Stop Writing the Commit Message').click();
    await expect.poll(boxText).toBe('slowly');
    await button('Generate Commit Message').waitFor();
    const { admission } = await askHealth(workbench.editor.runtimeDirectory);
    expect(admission.permitsInUse).toBe(0);
  });
});

describe('the terminal', () => {
  it('has its selection explained, and the clipboard keeps what it held', async () => {
    keepPicture('terminal-failed');
    const { page } = workbench;
    await page.evaluate("navigator.clipboard.writeText('kept')");
    await runCommand(page, 'Terminal: Create New Terminal');
    await page.locator('.terminal.xterm').first().click();
    await page.keyboard.type('cat nowhere.txt\n');
    await page.locator('.xterm-rows').filter({ hasText: 'No such file' }).first().waitFor();
    await runCommand(page, 'Terminal: Select All');
    await runCommand(page, 'Hearth: Explain Terminal Selection');
    await line('There is no such file.').waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe('kept');

    await runCommand(page, 'Terminal: Clear Selection');
    await runCommand(page, 'Hearth: Explain Terminal Selection');
    await workbench.toast('Select the output in the terminal').waitFor();
  });
});

function keepPicture(name: string): void {
  onTestFailed(async () => {
    await workbench.shot(name);
  });
}
