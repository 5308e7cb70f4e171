import { setTimeout as delay } from 'node:timers/promises';
import type { FrameLocator, Locator, Page } from 'playwright-core';
import { onTestFailed } from 'vitest';
import { openBrowser, takeScreenshot } from './browser.js';
import { startTestEditor, type TestEditor, type TestEditorOptions } from './test-editor.js';

/** How long to wait for something on the page, in milliseconds: generous, because test machines are slow. */
const patience = 60_000;
/** After which a press that showed nothing is repeated, in milliseconds. */
const aMoment = 3000;
/** Longer than the time in which VS Code counts notifications, in milliseconds. */
const spamMs = 1000;

/** A VS Code with Hearth installed, open in a browser, as a person meets it. */
export interface Workbench {
  readonly page: Page;
  readonly editor: TestEditor;
  /** Types into the input box that is open, and accepts it. */
  readonly answer: (text: string) => Promise<void>;
  /** Opens a file of the workspace by its name in the explorer. @returns its editor */
  readonly openFile: (name: string) => Promise<Locator>;
  /** The text of the editor that is active, as far as it can be seen. */
  readonly visibleText: () => Promise<string>;
  /** The status bar entry whose text matches. */
  readonly statusBarItem: (text: string | RegExp) => Locator;
  /** A notification whose text matches. */
  readonly toast: (text: string | RegExp) => Locator;
  /** Presses a button of a notification, until it has gone. */
  readonly pressInToast: (text: string | RegExp, button: string) => Promise<void>;
  /**
   * Waits until VS Code shows new notifications again: of more than three in 800 ms it shows three (`SPAM_PROTECTION` in
   * its notificationsToasts.ts), and the others only in its list.
   */
  readonly toastsMayCome: () => Promise<void>;
  /** Opens a view container by its name in the activity bar. */
  readonly openContainer: (name: string) => Promise<void>;
  /** A row of any tree or list whose text matches. */
  readonly row: (text: string | RegExp) => Locator;
  /** The document inside the webview that is shown. */
  readonly webview: () => FrameLocator;
  /** Takes a picture: `test/output/screenshots/<name>.png`. @returns its path */
  readonly shot: (name: string) => Promise<string>;
  /**
   * Where the test that runs fails: takes a picture of the page, and adds to the failure what the page says, for whoever
   * has only the test's output.
   */
  readonly keepPicture: (name: string) => void;
  /** Loads the page anew and waits for the workbench. */
  readonly reload: () => Promise<void>;
  /** Closes the browser, ends the editor and everything that it started, and removes its files. */
  readonly stop: () => Promise<void>;
}

/** Starts the editor and opens its page. */
export async function openWorkbench(options: TestEditorOptions = {}): Promise<Workbench> {
  const editor = await startTestEditor(options);
  const { browser, page } = await openBrowser().catch(async (error: unknown) => {
    await editor.stop();
    throw error;
  });
  const stop = async (): Promise<void> => {
    await browser.close();
    await editor.stop();
  };
  page.setDefaultTimeout(patience);
  const toast = (text: string | RegExp): Locator =>
    page.locator('.notifications-toasts .notification-list-item').filter({ hasText: text }).first();
  const input = page.locator('.quick-input-widget .quick-input-box input').first();
  const shown = async (): Promise<void> => {
    await page.locator('.monaco-workbench').waitFor();
    await page.locator('.statusbar-item').first().waitFor();
  };
  try {
    await page.goto(editor.url);
    await shown();
  } catch (error) {
    await takeScreenshot(page, 'workbench-did-not-open').catch(() => undefined);
    await stop();
    throw error;
  }
  return {
    page,
    editor,
    async answer(text) {
      await input.waitFor({ state: 'visible' });
      await input.fill(text);
      await page.keyboard.press('Enter');
      await input.waitFor({ state: 'hidden' });
    },
    async openFile(name) {
      const rows = page.locator('.explorer-folders-view .monaco-list-row');
      await rows.filter({ hasText: name }).first().dblclick();
      await page.locator('.tab.active').filter({ hasText: name }).waitFor();
      const lines = page.locator('.editor-instance .view-lines').last();
      await lines.waitFor();
      return lines;
    },
    // The editor draws spaces as non-breaking ones.
    visibleText: async () =>
      (await page.locator('.editor-group-container.active .view-lines').first().innerText()).replaceAll(
        '\u00A0',
        ' ',
      ),
    statusBarItem: (text) => page.locator('.statusbar-item').filter({ hasText: text }).first(),
    toast,
    async pressInToast(text, button) {
      const one = toast(text);
      await one.waitFor();
      // Not with the mouse, under which others that come and go move it.
      while (await one.isVisible()) {
        const pressed = one.getByRole('button', { name: button, exact: true });
        await pressed.dispatchEvent('click', undefined, { timeout: aMoment }).catch(() => undefined);
        await one.waitFor({ state: 'hidden', timeout: aMoment }).catch(() => undefined);
      }
    },
    toastsMayCome: () => delay(spamMs),
    openContainer: async (name) => {
      // A click on the one that is open closes it.
      const title = page.locator('.part.sidebar .title-label').filter({ hasText: name });
      if (!(await title.isVisible()))
        await page.locator(`.activitybar [aria-label^="${name}"]`).first().click();
      await title.waitFor();
    },
    row: (text) => page.locator('.monaco-list-row').filter({ hasText: text }).first(),
    webview: () => page.frameLocator('iframe.webview.ready').frameLocator('#active-frame'),
    shot: (name) => takeScreenshot(page, name),
    keepPicture(name) {
      onTestFailed(async ({ task }) => {
        await takeScreenshot(page, name);
        const words = await wordsOf(page);
        const failure = task.result?.errors?.at(-1);
        if (failure !== undefined) failure.message += `\n${words}`;
      });
    },
    async reload() {
      await page.reload();
      await shown();
    },
    stop,
  };
}

/** What the page says around its editors: tabs, status bar, notifications, and the box of the palette with its list. */
async function wordsOf(page: Page): Promise<string> {
  const said = async (what: string, selector: string): Promise<string> => {
    const texts = await page.locator(`${selector}:visible`).allInnerTexts();
    return `${what}: ${texts.map((text) => text.replaceAll(/\s+/g, ' ').trim()).join(' | ')}`;
  };
  const lines = await Promise.all([
    said('active tab', '.editor-group-container.active .tab.active'),
    said('status bar', '.statusbar-item'),
    said('notifications', '.notification-list-item'),
    said('palette', '.quick-input-widget .monaco-list-row'),
  ]);
  return `The page said:\n${lines.join('\n')}`;
}
