import type { ExtensionContext } from 'vscode';
import type { HearthExtensionApi } from './api.js';
import { createHearth, type Hearth } from './hearth.js';

let hearth: Hearth | undefined;

export function activate(context: ExtensionContext): HearthExtensionApi {
  const began = { time: performance.now(), processor: process.cpuUsage() };
  hearth = createHearth(context);
  const { user, system } = process.cpuUsage(began.processor);
  const activation = { elapsedMs: performance.now() - began.time, processorMs: (user + system) / 1000 };
  hearth.log(`Activated in ${activation.elapsedMs.toFixed(1)} ms.`);
  return { ...hearth.api, activation };
}

/** VS Code waits for this for a few seconds. */
export async function deactivate(): Promise<void> {
  await hearth?.stop();
}
