import { workspace, type Disposable } from 'vscode';
import type { Sidecar } from './sidecar/sidecar.js';

/** Generations that run at once: a chat, ghost text beside it, and two clients more. */
const activePermits = 4;

/** Where the gateway listens unless the setting says otherwise: the command line's own default. */
const defaultHttpAddress = '127.0.0.1:47322';

/** The flags of `hearth sidecar` that the settings amount to. */
export function sidecarArguments(): readonly string[] {
  const settings = workspace.getConfiguration('hearth');
  const flags = ['--active-permits', String(activePermits)];
  const model = settings.get('model', '').trim();
  if (model !== '') flags.push('--model', model);
  const runtimeDirectory = settings.get('runtimeDirectory', '').trim();
  if (runtimeDirectory !== '') flags.push('--runtime-dir', runtimeDirectory);
  const accelerator = settings.get<string>('accelerator', 'auto');
  if (accelerator !== 'auto') flags.push('--accelerator', accelerator);
  if (settings.get<boolean>('http.enabled', false))
    flags.push('--http', settings.get('http.address', '').trim() || defaultHttpAddress);
  return flags;
}

/** Restarts the sidecar when a setting changes that it was started with. */
export function restartOnChange(sidecar: Sidecar): Disposable {
  return workspace.onDidChangeConfiguration((event) => {
    const concerns = ['hearth.model', 'hearth.runtimeDirectory', 'hearth.http', 'hearth.accelerator'].some(
      (name) => event.affectsConfiguration(name),
    );
    if (concerns) void sidecar.restart();
  });
}
