import { execFileSync } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Locator } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { askHealth, cancelledRequests, engineStopped, readyEntry, runCommand } from './hearth-page.js';

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
  said('Count slowly', ...'never '.repeat(400).split(/(?<= )/)),
  {
    when: 'Read slowly',
    pieces: [...Array.from({ length: 100 }, () => ({ prefill: 0.43 })), { text: 'Read.' }],
  },
  said('The author says: slowly', ...'never '.repeat(400).split(/(?<= )/)),
  said('Write the commit message', ...message.split(/(?<= )/)),
  said('Explain the last error', 'There is no ', 'such file.'),
  said('Fix this problem', ...block(fixed)),
  said('Explain this problem', 'It is ', 'a slip of the pen.'),
  said('Explain this code', 'It adds ', 'all items.'),
  said('Suggest better names', '["amount", "all"]'),
];

let workbench: Workbench;
let configuration: string;
/** Has the daemon be another one from its next start on. */
let configure: (settings: object) => void;
const scripted = { engine: 'mock', mock: { tokens: ['(not scripted)'], script, token_delay_ms: 200 } };

beforeAll(async () => {
  configuration = await mkdtemp(path.join(os.tmpdir(), 'hearth-'));
  const file = path.join(configuration, 'config.json');
  configure = (settings) => writeFileSync(file, JSON.stringify(settings));
  configure(scripted);
  workbench = await openWorkbench({
    files: {
      'total.ts': original.join('\n'),
      'long.txt': 'a long line of text\n'.repeat(4000),
      // What the model is asked about it holds the words that make it slow.
      'slow.ts': 'const slow = 1; // Count slowly\n',
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

/** The cursor on the name that is wrong. */
async function goToProblem(): Promise<void> {
  await goTo('console.lgo');
  await goRight('console.'.length);
}

/** Keys go to the first editor from now on: the command is carried out some time after it was given. */
async function focusFirstEditor(): Promise<void> {
  await runCommand(workbench.page, 'View: Focus First Editor Group');
  await workbench.page.locator('.editor-group-container').first().locator('.monaco-editor.focused').waitFor();
}

async function goRight(characters: number): Promise<void> {
  for (let count = 0; count < characters; count += 1) await workbench.page.keyboard.press('ArrowRight');
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
    workbench.keepPicture('cannot-failed');
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
  it('offers to explain a problem, and does so in a document beside', async () => {
    workbench.keepPicture('lightbulb-explain-failed');
    await goToProblem();
    const explain = await offered('Explain with Hearth: Property');
    await workbench.shot('lightbulb');
    await explain.click();
    await line('It is a slip of the pen.').waitFor();
    await focusFirstEditor();
  });

  it('offers to fix a problem, and the fix is a change to be decided', async () => {
    workbench.keepPicture('lightbulb-failed');
    await goToProblem();
    await (await offered('Fix with Hearth')).click();
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
  /** Puts words of one's own into the box. */
  const hint = async (words: string): Promise<void> => {
    await openChanges();
    await box().click();
    await workbench.page.keyboard.press('Control+a');
    await workbench.page.keyboard.type(words);
    await expect.poll(boxText).toBe(words);
  };
  const boxText = async (): Promise<string> => (await box().innerText()).replaceAll('\u00A0', ' ').trim();

  beforeAll(async () => {
    git('init', '--quiet');
    git('add', '.');
    git('commit', '--quiet', '--message', 'Begin');
    await openChanges();
  });

  it('says that nothing is staged, and what to do', async () => {
    workbench.keepPicture('nothing-staged-failed');
    await openChanges();
    await button('Generate Commit Message').click();
    await workbench.toast('Nothing is staged').waitFor();
  });

  it('streams a message for what is staged into the box', async () => {
    workbench.keepPicture('commit-message-failed');
    appendFileSync(path.join(workbench.editor.workspace, 'total.ts'), '// more\n');
    git('add', 'total.ts');
    await openChanges();
    await button('Generate Commit Message').click();
    await box().filter({ hasText: 'fix(total): add' }).waitFor();
    const early = await boxText();
    await box().filter({ hasText: 'nobody had noticed.' }).waitFor();
    expect(early).not.toContain('noticed');
    await button('Generate Commit Message').waitFor();
    // For the picture: the buttons show where the mouse is, and no tooltip lies over the message.
    await workbench.page.locator('.pane-header').filter({ hasText: 'Changes' }).first().hover();
    await workbench.page.locator('.workbench-hover').waitFor({ state: 'hidden' });
    await workbench.shot('commit-message');
    // The box wraps its lines where it likes.
    expect((await boxText()).split(/\s+/)).toEqual(message.split(/\s+/));
  });

  it('stops at a click, and what stood there before comes back', async () => {
    workbench.keepPicture('commit-stop-failed');
    await hint('slowly');
    await button('Generate Commit Message').click();
    await box().filter({ hasText: 'never never' }).waitFor();
    const before = cancelledRequests(workbench.editor);
    await button('Stop Writing the Commit Message').click();
    await expect.poll(boxText).toBe('slowly');
    await button('Generate Commit Message').waitFor();
    await engineStopped(workbench.editor, before);
  });

  it('stops where somebody types into the box, and loses no key of theirs', async () => {
    workbench.keepPicture('commit-typing-failed');
    const { page } = workbench;
    await hint('slowly');
    await button('Generate Commit Message').click();
    await box().filter({ hasText: 'never never' }).waitFor();
    const before = cancelledRequests(workbench.editor);
    await box().click();
    await page.keyboard.type('[a burst of my own words, at once]');
    await button('Generate Commit Message').waitFor();
    await engineStopped(workbench.editor, before);
    // What was written stays, all that was typed stands in it in one piece, and nothing comes after.
    const written = async (): Promise<string> => (await boxText()).replaceAll(/\s/g, '');
    await expect.poll(written).toContain('[aburstofmyownwords,atonce]');
    expect((await written()).replace('[aburstofmyownwords,atonce]', '')).toMatch(/^(never)+$/);
  });
});

describe('the terminal', () => {
  it('has its selection explained, and the clipboard keeps what it held', async () => {
    workbench.keepPicture('terminal-failed');
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

describe('Stop', () => {
  it('ends an answer that is written into a document, and the engine', async () => {
    workbench.keepPicture('ask-stop-failed');
    await runCommand(workbench.page, 'Hearth: Ask…');
    await workbench.answer('Count slowly');
    await line('never never').waitFor();
    const before = cancelledRequests(workbench.editor);
    await workbench.toast('asking').getByRole('button', { name: 'Cancel', exact: true }).click();
    await line('Stopped.').waitFor();
    await engineStopped(workbench.editor, before);
  });

  it('ends the reading of a long prompt, of which it is told how far it is, and the engine', async () => {
    workbench.keepPicture('prefill-stop-failed');
    await focusFirstEditor();
    await runCommand(workbench.page, 'Hearth: Ask…');
    await workbench.answer('Read slowly');
    const toast = workbench.toast('asking');
    await toast.filter({ hasText: 'reading the prompt, 43 %' }).waitFor();
    await workbench.shot('prefill');
    const before = cancelledRequests(workbench.editor);
    await toast.getByRole('button', { name: 'Cancel', exact: true }).click();
    await line('Stopped.').waitFor();
    await engineStopped(workbench.editor, before);
  });

  it('ends what is written on at the cursor, and the engine', async () => {
    workbench.keepPicture('continue-stop-failed');
    const { page } = workbench;
    await focusFirstEditor();
    await page.keyboard.press('Control+Shift+E');
    await workbench.openFile('slow.ts');
    await page.keyboard.press('Control+End');
    await runCommand(page, 'Hearth: Continue From Cursor');
    // In this editor: an answer beside it may say the same.
    await page
      .locator('.editor-group-container.active .view-line')
      .filter({ hasText: 'never never' })
      .first()
      .waitFor();
    const before = cancelledRequests(workbench.editor);
    await page.keyboard.press('Escape');
    await engineStopped(workbench.editor, before);
    await workbench.toast('continuing').waitFor({ state: 'detached' });
  });

  it.each([
    ['Ask About Selection…', 'asking'],
    ['Write Tests', 'writing tests'],
    ['Suggest Names and Rename…', 'looking for names'],
    ['Explain Terminal Selection', 'asking'],
  ])('ends what %s began, and the engine', async (title, words) => {
    const name = title.toLowerCase().replaceAll(/[^a-z]+/g, '-');
    workbench.keepPicture(`stop-${name}-failed`);
    const { page } = workbench;
    if (title === 'Explain Terminal Selection') {
      await runCommand(page, 'Terminal: Create New Terminal');
      await page.locator('.terminal.xterm').last().click();
      await page.keyboard.type('cat slow.ts\n');
      await page.locator('.xterm-rows').last().filter({ hasText: 'const slow' }).waitFor();
      await runCommand(page, 'Terminal: Select All');
    } else {
      await focusFirstEditor();
      await page.keyboard.press('Control+Home');
      await goRight('const '.length);
      await workbench.statusBarItem('Ln 1, Col 7').waitFor();
      if (!title.startsWith('Suggest')) await page.keyboard.press('Control+a');
    }
    const before = cancelledRequests(workbench.editor);
    await runCommand(page, `Hearth: ${title}`);
    if (title.startsWith('Ask')) await workbench.answer('And slowly?');
    await expect.poll(running).toBe(1);
    await workbench.toast(words).getByRole('button', { name: 'Cancel', exact: true }).click();
    await engineStopped(workbench.editor, before);
    await workbench.toast(words).waitFor({ state: 'detached' });
  });
});

describe('the menu of the editor', () => {
  it('has the commands under Hearth', async () => {
    workbench.keepPicture('editor-menu-failed');
    const { page } = workbench;
    await runCommand(page, 'View: Close All Editor Groups');
    await discard();
    await workbench.openFile('total.ts');
    await line('let sum').click({ button: 'right' });
    await page
      .locator('.monaco-menu .action-label')
      .filter({ hasText: /^Hearth$/ })
      .hover();
    const entry = (title: string) =>
      page.locator('.monaco-submenu .action-label').filter({ hasText: new RegExp(`^${title}$`) });
    for (const title of ['Edit Inline…', 'Fix This Problem', 'Document This Code', 'Write Tests'])
      await entry(title).waitFor();
    await workbench.shot('editor-menu');
    await entry('Explain').click();
    await line('It adds all items.').waitFor();
  });
});

describe('Suggest Names', () => {
  it('offers names, and renames to the one that is picked', async () => {
    workbench.keepPicture('names-failed');
    const { page } = workbench;
    await focusFirstEditor();
    await runCommand(page, 'File: Revert File');
    await goTo('let sum');
    await goRight('let '.length);
    await runCommand(page, 'Hearth: Suggest Names and Rename…');
    await workbench.row('amount').waitFor();
    await workbench.shot('suggest-names');
    await workbench.row('amount').click();
    await line('let amount = 0').waitFor();
    await line('return amount').waitFor();
  });
});

describe('where there is no model', () => {
  beforeEach(async () => {
    const failed = workbench.statusBarItem('Hearth: failed');
    if (await failed.isVisible()) return;
    configure({ model: '/nowhere/none.gguf' });
    await runCommand(workbench.page, 'Hearth: Restart Sidecar');
    await failed.waitFor();
  });

  it('each command says so, and what to do', async () => {
    workbench.keepPicture('no-model-failed');
    const { page } = workbench;
    await goTo('console.');
    for (const title of [
      'Ask…',
      'Ask About Selection…',
      'Explain',
      'Fix This Problem',
      'Document This Code',
      'Write Tests',
      'Suggest Names and Rename…',
      'Edit Inline…',
      'Continue From Cursor',
      'Generate Commit Message',
      'Explain Terminal Selection',
      'Switch Model…',
      "Use Hearth in VS Code's Chat",
    ]) {
      await runCommand(page, 'Notifications: Clear All Notifications');
      await workbench.toast('').waitFor({ state: 'detached' });
      await runCommand(page, `Hearth: ${title}`);
      const toast = workbench.toast('Hearth has no model to answer with');
      await toast.filter({ hasText: 'Choose a Model' }).waitFor();
      await toast.filter({ hasText: 'Restart' }).waitFor();
    }
    await workbench.shot('no-model');
  });

  it('the message restarts it at a click, once there is one again', async () => {
    workbench.keepPicture('restart-button-failed');
    const { page } = workbench;
    await runCommand(page, 'Notifications: Clear All Notifications');
    await runCommand(page, 'Hearth: Ask…');
    const toast = workbench.toast('Hearth has no model to answer with');
    await toast.waitFor();
    configure(scripted);
    await toast.locator('.monaco-button').filter({ hasText: 'Restart' }).click();
    await readyEntry(page).waitFor();
    await expect.poll(running).toBe(0);
  });

  it('the message leads to the setting that names one', async () => {
    workbench.keepPicture('no-model-setting-failed');
    const { page } = workbench;
    await page.keyboard.press('Escape');
    await runCommand(page, 'Hearth: Ask…');
    await workbench
      .toast('Hearth has no model to answer with')
      .locator('.monaco-button')
      .filter({ hasText: 'Choose a Model' })
      .click();
    await page
      .locator('.settings-editor .setting-item-label')
      .filter({ hasText: /^Model$/ })
      .first()
      .waitFor();
  });
});

/** Generations that the daemon runs now. */
async function running(): Promise<number> {
  return (await askHealth(workbench.editor.runtimeDirectory)).admission.permitsInUse;
}

/** Answers the question whether to save what is not saved, where it comes. */
async function discard(): Promise<void> {
  const { page } = workbench;
  const dialog = page.locator('.monaco-dialog-box').first();
  const tabs = page.locator('.tabs-container .tab').first();
  for (;;) {
    await Promise.race([dialog.waitFor(), tabs.waitFor({ state: 'detached' })]);
    if (!(await dialog.isVisible())) return;
    await dialog.getByText("Don't Save", { exact: true }).click();
    await dialog.waitFor({ state: 'hidden' });
  }
}
