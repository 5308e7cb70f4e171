import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { cancelledRequests, engineStopped, finishedRequests, readyEntry, runCommand } from './hearth-page.js';

/** *Edit Inline* as a person meets it. The answer is scripted, so that what is to be decided is known. */

const original = [
  'export function total(items: number[]): number {',
  '  let sum = 0;',
  '  for (const item of items) {',
  '    sum += item;',
  '  }',
  '  console.log(sum);',
  '  return sum;',
  '}',
  '',
];
const answer = [
  '```ts\n',
  'export function total(items: readonly number[]): number {\n',
  '  let sum = 0;\n',
  '  for (const item of items) {\n',
  '    sum += item;\n',
  '  }\n',
  '  return sum;\n',
  '}\n',
  '```\n',
];

/** What a follow-up comes to: the rest of the change is kept, and the sum has another name. */
const renamed = ['```ts\n', ...answer.slice(1, -1).map((line) => line.replace('sum', 'all')), '```\n'];
const script = [
  { when: 'Only talk', pieces: [{ text: 'You could use ' }, { text: 'a product.' }] },
  {
    when: 'Done already: At once',
    pieces: [{ prefill: 0.43 }, { prefill: 0.43 }, { prefill: 0.43 }, { text: renamed.join('') }],
  },
  { when: 'At once', pieces: [{ text: answer.join('') }] },
];

let workbench: Workbench;
let configuration: string;

beforeAll(async () => {
  configuration = await mkdtemp(path.join(os.tmpdir(), 'hearth-'));
  const file = path.join(configuration, 'config.json');
  writeFileSync(
    file,
    JSON.stringify({ engine: 'mock', mock: { tokens: answer, script, token_delay_ms: 1000 } }),
  );
  workbench = await openWorkbench({
    files: {
      'total.ts': original.join('\n'),
      'locked.ts': original.join('\n'),
      'long.ts': 'export const one = 1;\n'.repeat(2000),
    },
    env: { HEARTH_CONFIG: file },
    settings: {
      'workbench.secondarySideBar.defaultVisibility': 'hidden',
      'editor.minimap.enabled': false,
      // A test begins with the file as it is on the disk.
      'files.autoSave': 'off',
      'typescript.validate.enable': false,
      'files.readonlyInclude': { '**/locked.ts': true },
      'hearth.inlineCompletions.enabled': false,
    },
  });
  await readyEntry(workbench.page).waitFor();
  await workbench.openFile('total.ts');
});

afterAll(async () => {
  await workbench.stop();
  await rm(configuration, { recursive: true });
});

afterEach(async () => {
  // Whatever a test left open is decided, and the file is as it was.
  await workbench.page.keyboard.press('Escape');
  await runCommand(workbench.page, 'File: Revert File');
});

const box = () => workbench.page.locator('.review-widget');
const lens = (title: string) => workbench.page.locator('.codelens-decoration a').filter({ hasText: title });
const textNow = async (): Promise<string> => (await workbench.visibleText()).trimEnd();
/** The lines that are shown, from the top: all at one moment, because the editor replaces them as it likes. */
const shown = async (): Promise<readonly string[]> => {
  const lines = await workbench.page.evaluate<{ top: number; text: string }[]>(
    `[...document.querySelectorAll('.editor-group-container.active .view-line')]
      .map((line) => ({ top: line.getBoundingClientRect().y, text: line.textContent }))`,
  );
  return lines.sort((one, other) => one.top - other.top).map(({ text }) => text.replaceAll('\u00A0', ' '));
};

async function selectAll(): Promise<void> {
  await workbench.page.locator('.editor-group-container.active .view-line').first().click();
  await workbench.page.keyboard.press('Control+Home');
  await workbench.page.keyboard.press('Control+Shift+End');
}

/** Opens the box, says what should change, and sends it with the keyboard. */
async function ask(instruction: string): Promise<void> {
  const { page } = workbench;
  await runCommand(page, 'Hearth: Edit Inline…');
  await box().waitFor();
  await box().locator('.monaco-editor').first().click();
  await page.keyboard.type(instruction);
  await page.keyboard.press('Control+Enter');
}

describe('Edit Inline', () => {
  it('streams a change that can be stopped, which stops the engine and leaves what is there to be decided', async () => {
    workbench.keepPicture('inline-edit-stop-failed');
    await selectAll();
    await ask('Take readonly numbers and do not log.');
    await box().filter({ hasText: 'writing…' }).waitFor();
    await workbench.page.locator('.view-line').filter({ hasText: 'readonly number[]' }).first().waitFor();
    await workbench.shot('inline-edit-writing');
    const before = cancelledRequests(workbench.editor);
    await box().locator('.codicon-debug-stop').click();
    await lens('Reject all').first().waitFor();
    await engineStopped(workbench.editor, before);
    await lens('Reject all').first().click();
    await expect.poll(shown).toEqual(original);
  });

  it('marks what goes and what comes, takes one change, leaves another, and one undo takes all of it back', async () => {
    workbench.keepPicture('inline-edit-failed');
    await selectAll();
    await ask('Take readonly numbers and do not log.');
    await lens('Accept all').first().waitFor();
    await expect.poll(async () => lens('Accept').count()).toBe(3);
    // No tooltip in the picture.
    await workbench.page.mouse.move(900, 700);
    await workbench.page.locator('.workbench-hover').waitFor({ state: 'hidden' });
    await workbench.shot('inline-edit');
    const marked = await textNow();
    expect(marked).toContain('number[]');
    expect(marked).toContain('readonly number[]');

    await lens('Accept').nth(1).click();
    await expect.poll(async () => lens('Accept').count()).toBe(2);
    await lens('Reject').nth(1).click();
    await box().waitFor({ state: 'detached' });
    const kept = ['export function total(items: readonly number[]): number {', ...original.slice(1)];
    await expect.poll(shown).toEqual(kept);

    await workbench.page.locator('.editor-group-container.active .view-lines').first().click();
    await workbench.page.keyboard.press('Control+z');
    await expect.poll(shown).toEqual(original);
  });

  it('goes on from there with another sentence, and one undo takes all of it back', async () => {
    workbench.keepPicture('inline-edit-follow-up-failed');
    const { page } = workbench;
    await selectAll();
    await ask('At once: take readonly numbers and do not log.');
    await lens('Accept all').first().waitFor();
    // Behind an answer the field of the box is closed until it is wanted.
    await box().locator('.review-thread-reply-button').click();
    await box().locator('.monaco-editor.focused').first().waitFor();
    await page.keyboard.type('Call the sum all.');
    await page.keyboard.press('Control+Enter');
    await box().filter({ hasText: 'reading the prompt, 43 %' }).waitFor();
    await workbench.shot('inline-edit-reading');
    await lens('Accept all').first().waitFor();
    // What was there before is kept, and only what is new is to be decided.
    await expect.poll(textNow).toContain('let all = 0;');
    expect(await textNow()).not.toContain('console.log');
    await workbench.shot('inline-edit-follow-up');
    await lens('Accept all').first().click();
    await box().waitFor({ state: 'detached' });
    const both = ['export function total(items: readonly number[]): number {', '  let all = 0;'];
    await expect.poll(async () => (await shown()).slice(0, 2)).toEqual(both);
    await page.locator('.editor-group-container.active .view-lines').first().click();
    await page.keyboard.press('Control+z');
    await expect.poll(shown).toEqual(original);
  });

  it('says so where the model answers in prose, which Retry has written anew, and which can be taken back', async () => {
    workbench.keepPicture('inline-edit-prose-failed');
    await selectAll();
    await ask('Only talk.');
    const prose = box().filter({ hasText: 'no block of code: see whether this is code' });
    await prose.waitFor();
    await workbench.shot('inline-edit-prose');
    const finished = finishedRequests(workbench.editor);
    await lens('Retry').first().click();
    await box().filter({ hasText: 'writing…' }).waitFor();
    await prose.waitFor();
    expect(finishedRequests(workbench.editor)).toBe(finished + 1);
    // Written from what was there before the first try: both leave one change.
    await expect.poll(async () => lens('Accept').count()).toBe(2);
    await lens('Reject all').first().click();
    await box().waitFor({ state: 'detached' });
    await expect.poll(shown).toEqual(original);
  });

  it('says of code that is too long for the model what to do', async () => {
    workbench.keepPicture('inline-edit-too-long-failed');
    await workbench.openFile('long.ts');
    await selectAll();
    await ask('Shorten it.');
    await box().filter({ hasText: 'too long for Mock engine (no model) to write anew' }).waitFor();
    await box().filter({ hasText: 'Select less.' }).waitFor();
    await runCommand(workbench.page, 'Hearth: Close Inline Edit');
    await box().waitFor({ state: 'detached' });
    await workbench.openFile('total.ts');
  });

  it('goes on while the document is edited elsewhere', async () => {
    workbench.keepPicture('inline-edit-elsewhere-failed');
    const { page } = workbench;
    await selectAll();
    await ask('Take readonly numbers and do not log.');
    await page.locator('.view-line').filter({ hasText: 'readonly number[]' }).first().waitFor();
    await page
      .locator('.editor-group-container.active .view-line')
      .filter({ hasText: 'return sum' })
      .first()
      .click();
    await page.keyboard.press('Control+End');
    await page.keyboard.type('// mine');
    await lens('Accept all').first().waitFor();
    await lens('Accept all').first().click();
    await expect.poll(textNow).not.toContain('console.log');
    expect(await textNow()).toContain('// mine');
  });

  it('ends where somebody types into what it rewrites, keeps that, and says so', async () => {
    workbench.keepPicture('inline-edit-conflict-failed');
    const { page } = workbench;
    await selectAll();
    await ask('Take readonly numbers and do not log.');
    await page.locator('.view-line').filter({ hasText: 'readonly number[]' }).first().waitFor();
    await page
      .locator('.editor-group-container.active .view-line')
      .filter({ hasText: 'console.log' })
      .first()
      .click();
    await page.keyboard.press('End');
    await page.keyboard.type(' // mine');
    await box().filter({ hasText: 'the code changed while it was being rewritten' }).waitFor();
    await workbench.shot('inline-edit-conflict');
    await lens('Reject all').first().click();
    await box().waitFor({ state: 'detached' });
    await expect.poll(textNow).toContain('console.log(sum); // mine');
    expect(readFileSync(path.join(workbench.editor.workspace, 'total.ts'), 'utf8')).toBe(original.join('\n'));
  });

  it('says of a locked document that it cannot be changed, stops, and goes on once it is unlocked', async () => {
    workbench.keepPicture('inline-edit-locked-failed');
    const { page } = workbench;
    await workbench.openFile('locked.ts');
    await runCommand(page, 'File: Reset Active Editor Read-only in Session');
    await page.keyboard.press('Control+End');
    const before = cancelledRequests(workbench.editor);
    await runCommand(page, 'Hearth: Continue From Cursor');
    await workbench.toast('This document cannot be changed').waitFor();
    await engineStopped(workbench.editor, before);
    await runCommand(page, 'Notifications: Clear All Notifications');

    await selectAll();
    await ask('Take readonly numbers and do not log.');
    await box().filter({ hasText: 'it is locked, or read-only' }).waitFor();
    await engineStopped(workbench.editor, before + 1);
    expect(await textNow()).not.toContain('readonly');
    await workbench.shot('inline-edit-locked');
    await workbench
      .toast('This document cannot be changed')
      .locator('.monaco-button')
      .filter({ hasText: 'Unlock and Retry' })
      .click();
    await lens('Accept all').first().waitFor();
    await lens('Reject all').first().click();
    await box().waitFor({ state: 'detached' });
  });
});
