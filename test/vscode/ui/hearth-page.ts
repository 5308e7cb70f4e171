import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Health } from '@hearth/protocol';
import type { Locator, Page } from 'playwright-core';
import { expect } from 'vitest';
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from 'vscode-jsonrpc/node';
import type { TestEditor } from '../harness/test-editor.js';

/** The status bar entry of Hearth, when it says that a model is ready. */
export function readyEntry(page: Page): Locator {
  const flame = page.locator('.codicon-flame');
  return page.locator('.statusbar-item').filter({ has: flame }).first();
}

/**
 * Runs a command by its whole title; several may begin alike. The row itself is told of the click: with the mouse, the
 * list may be filtered anew between the look at where the row is and the press.
 */
export async function runCommand(page: Page, title: string): Promise<void> {
  await page.keyboard.press('F1');
  const input = page.locator('.quick-input-widget .quick-input-box input').first();
  await input.waitFor({ state: 'visible' });
  await input.fill(`>${title}`);
  const row = page.locator('.quick-input-list .monaco-list-row');
  await row
    .filter({ has: page.getByText(title, { exact: true }) })
    .first()
    .dispatchEvent('click');
}

/** Asks the daemon of a runtime directory itself how it is. */
export async function askHealth(runtimeDirectory: string): Promise<Health> {
  return askDaemon<Health>(runtimeDirectory, 'hearth/health');
}

/** Sends one request to the daemon of a runtime directory. */
export async function askDaemon<R>(runtimeDirectory: string, method: string, params?: object): Promise<R> {
  const socket = connect(join(runtimeDirectory, 'rpc.sock'));
  const connection = createMessageConnection(
    new StreamMessageReader(socket),
    new StreamMessageWriter(socket),
  );
  connection.listen();
  try {
    return await (params === undefined
      ? connection.sendRequest<R>(method)
      : connection.sendRequest<R>(method, params));
  } finally {
    connection.dispose();
    socket.destroy();
  }
}

/** How many requests the daemon has noted as cancelled in its log. */
export function cancelledRequests(editor: TestEditor): number {
  return noted(editor, 'request_cancelled');
}

/** How many requests the daemon has noted in its log as having come to their end. */
export function finishedRequests(editor: TestEditor): number {
  return noted(editor, 'request_done');
}

function noted({ logDirectory }: TestEditor, message: string): number {
  const file = join(logDirectory, 'hearth.ndjson');
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return text.split('\n').filter((line) => line.includes(`"${message}"`)).length;
}

/**
 * Sees that what was stopped on the page has stopped in the engine: by the daemon's own log, and since nothing runs.
 *
 * @param before {@link cancelledRequests} before it was stopped
 */
export async function engineStopped(editor: TestEditor, before: number): Promise<void> {
  await expect.poll(() => cancelledRequests(editor)).toBe(before + 1);
  await expect.poll(async () => (await askHealth(editor.runtimeDirectory)).admission.permitsInUse).toBe(0);
}
