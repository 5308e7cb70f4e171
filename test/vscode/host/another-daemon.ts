import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import * as vscode from 'vscode';
import { readyHearth } from './support.js';

/** The user's own settings of the daemon: the tests have a home of their own. */
const file = join(homedir(), '.hearth/config.json');
const saved = existsSync(file) ? readFileSync(file) : undefined;

/** Has the daemon begin anew with these settings. */
export async function restartWith(settings: object): Promise<void> {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(settings));
  await vscode.commands.executeCommand('hearth.restartSidecar');
}

/** Has it begin anew as it was when the tests began, and waits until it is ready. */
export async function restartAsBefore(): Promise<void> {
  if (saved === undefined) rmSync(file);
  else writeFileSync(file, saved);
  await vscode.commands.executeCommand('hearth.restartSidecar');
  await readyHearth();
}
