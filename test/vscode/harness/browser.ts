import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { chromiumPath } from '../../../client/dev/chromium.mjs';
import { inRoot } from '../../../client/dev/paths.mjs';

export interface OpenPage {
  readonly browser: Browser;
  readonly page: Page;
}

/** A browser of its own with one empty page, 1400 × 900. The caller closes the browser. */
export async function openBrowser(): Promise<OpenPage> {
  const flags = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'];
  // Root has no sandbox in a container, and the page is our own.
  flags.push('--disable-component-update', '--disable-sync', '--no-sandbox');
  const browser = await chromium.launch({ executablePath: chromiumPath(), args: flags });
  const context = await browser.newContext({
    viewport: { width: 1400, height: 900 },
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  return { browser, page: await context.newPage() };
}

/** Where pictures of the tests are kept. */
const screenshots = inRoot('test/output/screenshots');

/** Takes a picture of the page as `test/output/screenshots/<name>.png`. @returns its path */
export async function takeScreenshot(page: Page, name: string): Promise<string> {
  mkdirSync(screenshots, { recursive: true });
  const file = path.join(screenshots, `${name}.png`);
  await page.screenshot({ path: file });
  return file;
}
