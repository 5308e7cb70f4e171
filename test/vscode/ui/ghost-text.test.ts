import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { ActivityLogFile } from '../../support/activity-log.js';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { readyEntry, runCommand } from './hearth-page.js';

/**
 * Ghost text as a person meets it, in a real VS Code. The engine is the mock that knows one document by heart, so that
 * there is something to suggest and it is always the same; ui/hearth.test.ts has the embedded model.
 */

const interfaceItem = `interface Item {
  readonly name: string;
  readonly cents: number;
  readonly quantity: number;
}
`;
const head = '\n/** What a cart costs, in cents. */\nexport function total(items: readonly Item[]): number';
const body = `  let sum = 0;
  for (const { cents, quantity } of items) {
    sum += cents * quantity;
  }
  return sum;
}
`;
const next = `
export function cheapest(items: readonly Item[]): Item | undefined {
  return items.toSorted((left, right) => left.cents - right.cents)[0];
}
`;
const colours = "const colour = 'blue';\nconst colour = 'yellow';\nconst colour = 'violet';\n";
const known = `${interfaceItem}${head} {\n${body}${next}${colours}`;
const begun = `${interfaceItem}${head}`;

/** Test machines are slow. */
const patience = { timeout: 60_000 };

let workbench: Workbench;
let directory: string;
let log: ActivityLogFile;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'hgt-'));
  const config = join(directory, 'config.json');
  const mock = { document: known, token_delay_ms: 2, name: 'mock' };
  writeFileSync(config, JSON.stringify({ engine: 'mock', mock }));
  workbench = await openWorkbench({
    env: { HEARTH_CONFIG: config },
    files: {
      'cart.ts': begun,
      'brackets.ts': begun,
      'along.ts': begun,
      'ahead.ts': '{\n}\n',
      'parts.ts': begun,
      'cycle.ts': '{\n}\n',
      'widget.ts': begun,
      'off.ts': begun,
      'reasons.ts': `${begun} {\n${body}`,
      'mixed.ts': `// one\r\n// two\n// three\r${begun}`,
      'binary.bin.ts': 'const a = "\0\0\0";\n',
      'huge.ts': `// ${'x'.repeat(90)}\n`.repeat(530_000),
      'nine-million.ts': `// ${'x'.repeat(90)}\n`.repeat(100_000),
    },
    settings: {
      'workbench.secondarySideBar.defaultVisibility': 'hidden',
      'workbench.editor.enablePreview': false,
      'files.autoSave': 'off',
      'editor.minimap.enabled': false,
      'editor.tabSize': 2,
      'editor.detectIndentation': false,
      'editor.quickSuggestions': { other: 'off', comments: 'off', strings: 'off' },
      'editor.suggest.preview': true,
      'editor.parameterHints.enabled': false,
      'typescript.validate.enable': false,
    },
  });
  log = new ActivityLogFile(join(workbench.editor.logDirectory, 'hearth.ndjson'));
  await readyEntry(workbench.page).waitFor();
  workbench.page.setDefaultTimeout(60_000);
  const inlineSuggest = 'editor.action.inlineSuggest';
  writeFileSync(
    join(workbench.editor.directory, 'editor/user/User/keybindings.json'),
    JSON.stringify([
      { key: 'ctrl+alt+l', command: `${inlineSuggest}.acceptNextLine`, when: 'inlineSuggestionVisible' },
    ]),
  );
});

afterAll(async () => {
  await workbench.stop();
  rmSync(directory, { recursive: true, force: true });
});

afterEach(async ({ task }) => {
  if (task.result?.state !== 'fail') await press('Escape', 'Escape');
});

describe('a suggestion', () => {
  it('fills a block with several lines, and Tab takes it', async () => {
    keepPicture('ghost-block-failed');
    await atEnd('cart.ts');
    await type(' {');
    await press('Enter');
    await shows(body.trimEnd().slice(0, -2).trim());
    await workbench.shot('ghost-text-block');
    await press('Tab');
    await expect.poll(() => editorText(), patience).toContain('return sum;');
    expect((await editorText()).match(/return sum;/g)).toHaveLength(1);
  });

  it('fills the brackets that the editor has just closed, of which the second keeps a line of its own', async () => {
    keepPicture('ghost-brackets-failed');
    await atEnd('brackets.ts');
    await type(' {');
    await shows('return sum;');
    await press('Tab');
    await expect.poll(() => editorText(), patience).toMatch(/number \{\s+let sum = 0;[^]*return sum;\n\}/);
    // In front of that bracket nothing is wanted.
    await expect.poll(latestReason, patience).toBe('right before a closing bracket');
    await press('Control+z');
    await shows('return sum;');
    await expect.poll(latestReason, patience).toContain('cache');
    await press('Enter');
    await shows('let sum = 0;');
    await press('Tab');
    await expect.poll(() => editorText(), patience).toMatch(/number \{\s+let sum = 0;[^]*return sum;\n\}/);
  });

  it('has what follows it ready by the time that it is taken', async () => {
    keepPicture('ghost-ahead-failed');
    await atEnd('ahead.ts');
    await type('export function cheapest(items: readonly Item[])');
    await shows(': Item | undefined {');
    await settledRequests();
    await press('Tab');
    await expect.poll(latestReason, patience).toContain('prepared');
  });

  it('stays while one types along it, and the engine is asked nothing meanwhile', async () => {
    keepPicture('ghost-along-failed');
    await atEnd('along.ts');
    await type(' {');
    await press('Enter');
    await shows('return sum;');
    const asked = await settledRequests();
    await type('let sum');
    await shows('= 0;');
    await type(' = ');
    await shows('0;');
    expect(await settledRequests()).toBe(asked);
    await expect.poll(latestReason, patience).toContain('nothing asked');
  });

  it('can be accepted by word and by line', async () => {
    keepPicture('ghost-parts-failed');
    await atEnd('parts.ts');
    await type(' {');
    await press('Enter');
    await shows('return sum;');
    await press('Control+ArrowRight');
    await expect.poll(() => editorText(), patience).toMatch(/number \{\n\s*let/);
    await shows('sum = 0;');
    await press('Control+Alt+l');
    await expect.poll(() => editorText(), patience).toContain('let sum = 0;');
    await shows('return sum;');
  });

  it('asked for by name brings alternatives to cycle through', async () => {
    keepPicture('ghost-cycle-failed');
    await atEnd('cycle.ts');
    await type('const colour = ');
    await startsWith("'blue';");
    await press('Alt+]');
    await startsWith("'yellow';");
    await press('Alt+]');
    await startsWith("'violet';");
  });

  it('goes on from the selected entry of the suggestion list', async () => {
    keepPicture('ghost-widget-failed');
    await atEnd('widget.ts');
    await type(' {');
    await press('Enter');
    await type('let sum = 0;');
    await press('Enter');
    await type('for (const { cents, quantity } of items) {');
    await press('Enter');
    await type('sum += cen');
    await press('Control+Space');
    const row = workbench.page.locator('.suggest-widget.visible .monaco-list-row.focused').first();
    await row.filter({ hasText: 'cents' }).waitFor();
    await shows('ts * quantity;');
    await press('Escape');
  });
});

describe('where there is none', () => {
  it('the status bar says why when one points at it, and a list says more', async () => {
    keepPicture('ghost-why-failed');
    await atEnd('reasons.ts');
    await press('Enter');
    await type('qqq qqq');
    await expect.poll(latestReason, patience).toBe('the model had nothing to say');
    const hover = workbench.page.locator('.monaco-hover').filter({ hasText: 'No suggestion' });
    await readyEntry(workbench.page).hover();
    await hover.waitFor();
    expect(await hover.innerText()).toContain('the model had nothing to say');
    await workbench.shot('ghost-text-why-hover');
    await press('Escape');
    await runCommand(workbench.page, 'Hearth: Why No Suggestion?');
    const rows = workbench.page.locator('.quick-input-list .monaco-list-row');
    await rows.filter({ hasText: 'The model ended at once' }).first().waitFor();
    // The list fades in.
    await new Promise((resolve) => setTimeout(resolve, 400));
    await workbench.shot('ghost-text-why');
  });

  it('the Activity view has what became of the last triggers', async () => {
    keepPicture('ghost-activity-failed');
    await workbench.openContainer('Hearth');
    await workbench.row(/^Ghost text/).waitFor();
    await workbench.shot('ghost-text-activity');
    // Its button is named after the unsaved files by now.
    await workbench.page.keyboard.press('Control+Shift+E');
  });

  it('it may be paused, snoozed, or switched off for a language, and says so', async () => {
    keepPicture('ghost-off-failed');
    await atEnd('off.ts');
    await runCommand(workbench.page, 'Hearth: Pause Ghost Text');
    await type(' {');
    await press('Enter');
    await expect.poll(latestReason, patience).toContain('paused in this window');
    expect(await ghostText()).toBe('');
    await runCommand(workbench.page, 'Hearth: Resume Ghost Text');
    await runCommand(workbench.page, 'Hearth: Snooze Ghost Text…');
    await workbench.row('5 minutes').click();
    await workbench.page.locator('.statusbar-item .codicon-debug-pause').first().waitFor();
    await type('l');
    await expect.poll(latestReason, patience).toContain('snoozed for 5 more minutes');
    await runCommand(workbench.page, 'Hearth: Resume Ghost Text');
    await runCommand(workbench.page, 'Hearth: Switch Ghost Text On or Off for This Language');
    await workbench.toast('off for typescript').waitFor();
    await type('e');
    await expect.poll(latestReason, patience).toBe('switched off for this language');
    await runCommand(workbench.page, 'Hearth: Switch Ghost Text On or Off for This Language');
    await workbench.toast('on for typescript').waitFor();
    await type('t');
    await shows('sum = 0;');
  });
});

describe('documents of any kind', () => {
  it('mixed line ends: what is suggested fits, and what is accepted has one of each line', async () => {
    keepPicture('ghost-mixed-failed');
    await atEnd('mixed.ts');
    await type(' {');
    await press('Enter');
    await shows('return sum;');
    await press('Tab');
    await expect.poll(() => editorText(), patience).toContain('return sum;');
    await press('Control+s');
    const file = join(workbench.editor.workspace, 'mixed.ts');
    await expect.poll(() => readFileSync(file, 'utf8'), patience).toContain('return sum;');
    expect(readFileSync(file, 'utf8')).not.toMatch(/\r\r|\r(?!\n)/);
  });

  it.each([
    ['with zero bytes', 'binary.bin.ts', 'not a text'],
    ['of nine million characters', 'nine-million.ts', 'document too long'],
  ])('one %s takes what is typed, and says why nothing is suggested', async (_what, name, reason) => {
    keepPicture('ghost-odd-failed');
    await atEnd(name, name.startsWith('binary') ? 'anyway as text' : 'at once');
    await type('const typed = 1;');
    await expect.poll(() => editorText(), patience).toContain('const typed = 1;');
    await expect.poll(latestReason, patience).toBe(reason);
  });

  it('one of 50 MB takes what is typed', async () => {
    keepPicture('ghost-huge-failed');
    await atEnd('huge.ts', 'anyway');
    const since = Date.now();
    await type('const typed = 1;');
    await expect.poll(() => editorText(), patience).toContain('const typed = 1;');
    expect(Date.now() - since).toBeLessThan(30_000);
    await atEnd('cycle.ts');
    await press('Enter');
    await type('const colour = ');
    await shows("'blue';");
  });
});

/** Opens a file with the cursor at its end. VS Code may have to be told that it is to open it anyway, and how. */
async function atEnd(name: string, how: 'at once' | 'anyway' | 'anyway as text' = 'at once'): Promise<void> {
  const { page } = workbench;
  await openFile(name);
  if (how !== 'at once') await page.locator('.monaco-button').filter({ hasText: 'Open Anyway' }).click();
  if (how === 'anyway as text') await workbench.row('Text Editor').click();
  await page.locator('.editor-group-container.active .monaco-editor').first().click();
  await press('Control+End');
}

async function openFile(name: string): Promise<void> {
  const { page } = workbench;
  const input = page.locator('.quick-input-widget .quick-input-box input').first();
  await press('Control+p');
  await input.waitFor({ state: 'visible' });
  await input.fill(name);
  await page.locator('.quick-input-list .monaco-list-row').filter({ hasText: name }).first().click();
  await page.locator('.tab.active').filter({ hasText: name }).waitFor();
}

async function press(...keys: readonly string[]): Promise<void> {
  for (const key of keys) await workbench.page.keyboard.press(key);
}

async function type(text: string): Promise<void> {
  await workbench.page.keyboard.type(text, { delay: 40 });
}

/** The ghost text that is shown: its first line stands in the line of the cursor, the others in a zone below it. */
async function ghostText(): Promise<string> {
  const editor = workbench.page.locator('.editor-group-container.active .monaco-editor').first();
  const first = await editor.locator('[class*="ghost-text-decoration"]').allTextContents();
  const below = await editor.locator('.suggest-preview-text .view-line').allTextContents();
  return [first.join(''), ...below].join('\n').replaceAll('\u00A0', ' ').trim();
}

/** Waits until the ghost text holds `text`, blanks aside. */
async function shows(text: string): Promise<void> {
  const plain = (some: string): string => some.replaceAll(/\s+/g, ' ').trim();
  await expect.poll(async () => plain(await ghostText()), patience).toContain(plain(text));
}

/** Waits until the ghost text begins with `text`. */
async function startsWith(text: string): Promise<void> {
  await expect.poll(ghostText, patience).toMatch(new RegExp(`^${text}`));
}

async function editorText(): Promise<string> {
  return workbench.visibleText();
}

/** How many requests the engine has had, once no more are coming. */
async function settledRequests(): Promise<number> {
  let seen = -1;
  for (;;) {
    const now = log
      .records()
      .filter(({ msg }) => msg === 'request_done' || msg === 'request_cancelled').length;
    if (now === seen) return now;
    seen = now;
    await new Promise((resolve) => setTimeout(resolve, 600));
  }
}

/** The reason that the status bar's hover gives, as its accessible text has it. */
async function latestReason(): Promise<string> {
  const { page } = workbench;
  await readyEntry(page).hover();
  const hover = page.locator('.monaco-hover').filter({ hasText: 'suggestion' }).first();
  await hover.waitFor({ timeout: 5000 }).catch(() => undefined);
  const text = await hover.innerText({ timeout: 1000 }).catch(() => '');
  await page.mouse.move(700, 450);
  return /No suggestion at [\d:]+: ([^.]+)\./.exec(text.replaceAll('\u00A0', ' '))?.[1] ?? text;
}

/** Where the test fails, keeps a picture, and leaves nothing open for the next one. */
function keepPicture(name: string): void {
  onTestFailed(async () => press('Escape', 'Escape'));
  // Before the other: what was registered last goes first.
  workbench.keepPicture(name);
}
