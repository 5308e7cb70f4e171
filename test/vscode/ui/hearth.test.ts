import { join } from 'node:path';
import type { DoneFrame, Health } from '@hearth/protocol';
import { connect as connectClient } from '@hearth/protocol/node';
import type { Locator } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openWorkbench, type Workbench } from '../harness/workbench.js';
import { askHealth, readyEntry, runCommand } from './hearth-page.js';

/** Hearth as a person meets it: the real engine and the embedded model, in a real VS Code. One workbench for all. */

let workbench: Workbench;

beforeAll(async () => {
  workbench = await openWorkbench({
    files: {
      'add.ts': 'export function add(a: number, b: number): number {\n  return a + b;\n}\n',
      'notes.py': 'def add(a, b):\n    return a + b\n\n\n',
    },
    settings: {
      'workbench.secondarySideBar.defaultVisibility': 'hidden',
      'editor.minimap.enabled': false,
      'typescript.validate.enable': false,
    },
  });
  await ready().waitFor();
});

afterAll(async () => {
  await workbench.stop();
});

describe('the status bar', () => {
  it('shows the model once it is ready, and says more when one points at it', async () => {
    workbench.keepPicture('status-bar-failed');
    await ready().hover();
    const hover = workbench.page.locator('.monaco-hover').filter({ hasText: 'tokens of context' });
    await hover.waitFor();
    expect(await hover.innerText()).toMatch(/0 of 4 running/);
    await workbench.shot('status-bar');
  });

  it('offers the quick actions at a click', async () => {
    workbench.keepPicture('quick-actions-failed');
    await ready().click();
    await workbench.page
      .locator('.quick-input-list .monaco-list-row')
      .filter({ hasText: 'Copy Socket Path' })
      .waitFor();
    await workbench.shot('quick-actions');
    await workbench.page.keyboard.press('Escape');
  });
});

describe('ghost text', () => {
  it('appears while one types, and Tab accepts it', async () => {
    workbench.keepPicture('ghost-text-failed');
    const { page } = workbench;
    await workbench.openFile('add.ts');
    await page.keyboard.press('Control+End');
    const ghost = await typeUntilGhostText(['export function subtract(', 'const sum = ', 'for (let i = ']);
    const suggested = printed(await ghost.first().innerText());
    await workbench.shot('ghost-text');
    await page.keyboard.press('Tab');
    await expect.poll(() => workbench.visibleText()).toContain(suggested);
    await ghost.first().waitFor({ state: 'detached' });
    await workbench.shot('ghost-text-accepted');
  });
});

describe('Ask…', () => {
  it('streams an answer into a document beside, and says what the model is', async () => {
    workbench.keepPicture('ask-failed');
    await run('Hearth: Ask…');
    await workbench.answer('Write a function that adds two numbers.');
    await workbench.page.locator('.tab').filter({ hasText: 'Write a function' }).waitFor();
    // Without white space: the editor wraps lines where it likes.
    const seen = async (): Promise<string> => (await workbench.visibleText()).replaceAll(/\s/gu, '');
    await expect.poll(seen).toContain('UsetheBestModelforThisMachine');
    await expect.poll(async () => (await answerLines()).length).toBeGreaterThan(0);
    await workbench.toast('asking').waitFor({ state: 'detached' });
    await workbench.shot('ask');
    expect(await workbench.page.locator('.tab').filter({ hasText: 'Write a function' }).count()).toBe(1);
  });
});

describe('Continue From Cursor', () => {
  it('writes on at the cursor, and one undo takes it back', async () => {
    workbench.keepPicture('continue-failed');
    const { page } = workbench;
    await workbench.openFile('notes.py');
    await expect.poll(() => workbench.visibleText()).toContain('return a + b');
    await page.keyboard.press('Control+End');
    const before = await workbench.visibleText();
    await run('Hearth: Continue From Cursor');
    await expect.poll(() => workbench.visibleText()).not.toBe(before);
    await workbench.toast('continuing').waitFor({ state: 'detached' });
    await workbench.shot('continue');
    await page.keyboard.press('Control+z');
    await expect.poll(() => workbench.visibleText()).toBe(before);
  });
});

describe('the views', () => {
  it('show the model with its figures, and what happened', async () => {
    workbench.keepPicture('views-failed');
    await workbench.openContainer('Hearth');
    // Newest first: what lies further back may be out of sight.
    for (const label of ['Context', 'Breaker', 'Requests', 'request done']) {
      await workbench.row(label).waitFor();
    }
    await workbench.shot('views');
  });

  it('show what is being generated, and cancel it', async () => {
    workbench.keepPicture('streams-failed');
    const client = await connectClient({ path: join(workbench.editor.runtimeDirectory, 'hearth.sock') });
    try {
      // Under this grammar no text is ever complete, so that only `max_tokens` or a cancellation ends it.
      const request = { prompt: 'letters:', max_tokens: 900, grammar: 'root ::= [a-z ] root' };
      const cancelled = untilCancelled(() => client.complete(request));
      cancelled.catch(() => undefined);
      const row = workbench.row(/writing/);
      await row.waitFor();
      await workbench.shot('streams');
      // The pilot writes 900 tokens in a second or two: on a busy machine a stream may end before the click reaches it.
      const noted = cancelled.then(() => 'cancelled' as const);
      while ((await Promise.race([noted, cancelFirstStream(row)])) !== 'cancelled');
      expect((await cancelled).usage.completion_tokens).toBeLessThan(900);
      await row.waitFor({ state: 'detached' });
    } finally {
      client.close();
    }
  });

  it('filter what happened by level, and say so', async () => {
    workbench.keepPicture('activity-filter-failed');
    const { page } = workbench;
    await run('Hearth: Filter Activity by Level');
    await page.locator('.quick-input-list .monaco-list-row').filter({ hasText: 'Errors only' }).click();
    await page.getByText('showing errors').first().waitFor();
    await workbench.row(/^request/).waitFor({ state: 'detached' });
    await workbench.shot('activity-filter');
    await run('Hearth: Clear Activity Filter');
    await workbench.row(/^request/).waitFor();
  });
});

describe('a sidecar that is killed', () => {
  it('comes back by itself', async () => {
    workbench.keepPicture('recovery-failed');
    const { pid } = await health();
    process.kill(pid, 'SIGKILL');
    await workbench.statusBarItem(/restarting|starting|loading/).waitFor();
    await workbench.shot('recovery-restarting');
    await ready().waitFor();
    expect((await health()).pid).not.toBe(pid);
    await workbench.shot('recovery-ready');
  });
});

function ready(): Locator {
  return readyEntry(workbench.page);
}

function run(title: string): Promise<void> {
  return runCommand(workbench.page, title);
}

/** Types one beginning after the other until the model has something to say to one. */
async function typeUntilGhostText(beginnings: readonly string[]): Promise<Locator> {
  const { page } = workbench;
  const ghost = page.locator('[class*="ghost-text"]');
  for (const beginning of beginnings) {
    await page.keyboard.press('Enter');
    await page.keyboard.type(beginning, { delay: 20 });
    const seen = await ghost
      .first()
      .waitFor({ timeout: 10_000 })
      .then(
        () => true,
        () => false,
      );
    if (seen) return ghost;
  }
  throw new Error('No ghost text appeared.');
}

/** The lines of the answer document that follow the question and the line about the model. */
async function answerLines(): Promise<readonly string[]> {
  const text = await workbench.visibleText();
  return text
    .slice(text.lastIndexOf('*') + 1)
    .split('\n')
    .filter((line) => line.trim() !== '');
}

/** The editor draws spaces as ones that do not break. */
function printed(text: string): string {
  return text.replaceAll('\u00A0', ' ');
}

/** Clicks on the button of the stream that is shown; a stream that ends meanwhile is passed over. */
async function cancelFirstStream(row: Locator): Promise<void> {
  const button = workbench.page.locator('.monaco-list-row').locator('[aria-label="Cancel Stream"]').first();
  const soon = { timeout: 3000 };
  await row
    .hover(soon)
    .then(() => button.click(soon))
    .catch(() => undefined);
}

/** Keeps the engine busy until a generation is cancelled. @returns how that one ended */
async function untilCancelled(generate: () => Promise<DoneFrame>): Promise<DoneFrame> {
  for (;;) {
    const done = await generate();
    if (done.stop_reason === 'cancelled') return done;
  }
}

function health(): Promise<Health> {
  return askHealth(workbench.editor.runtimeDirectory);
}
