import type { ExtensionContext } from 'vscode';
import type { HearthExtensionApi } from './api.js';
import { createHearth, type Hearth } from './hearth.js';

let hearth: Hearth | undefined;

export function activate(context: ExtensionContext): HearthExtensionApi {
  const startedAt = performance.now();
  hearth = createHearth(context);
  const activationMs = performance.now() - startedAt;
  hearth.log(`Activated in ${activationMs.toFixed(1)} ms.`);
  return { ...hearth.api, activationMs };
}

/** VS Code waits for this for a few seconds. */
export async function deactivate(): Promise<void> {
  await hearth?.stop();
}
