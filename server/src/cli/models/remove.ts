import { HearthError, type Health } from '@hearth/protocol';
import { ModelStore } from '../../models/store/model-store.js';
import { modelsHome } from '../../models/store/models-home.js';
import { askHealth } from '../ask-health.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { findPaths } from '../find-paths.js';
import { showBytes } from './format.js';

/** `hearth rm`: removes a model from the store, unless a daemon has it loaded. */
export async function removeCommand(
  name: string,
  { runtimeDir, force }: { readonly runtimeDir?: string; readonly force?: true },
): Promise<ExitCode> {
  const store = new ModelStore(modelsHome(process.env));
  if (force !== true && (await isLoaded(name, runtimeDir))) {
    throw new HearthError(
      'backend_unavailable',
      `The daemon has ${name} loaded. Switch to another model or stop the daemon, then try again; --force removes it all the same.`,
    );
  }
  const lock = await store.lock(name);
  try {
    const manifest = await store.find(name).catch(() => undefined);
    const freed = await store.remove(name);
    const external = manifest?.file.kind === 'external';
    process.stdout.write(
      external
        ? `Removed ${name}. Its file stays with the program that fetched it.\n`
        : `Removed ${name}${freed === 0 ? '; another name has the same bytes, so they stay' : `; ${showBytes(freed)} are free again`}.\n`,
    );
    return exitCodes.ok;
  } finally {
    lock.release();
  }
}

async function isLoaded(name: string, runtimeDir: string | undefined): Promise<boolean> {
  let health: Health | undefined;
  try {
    health = await askHealth(findPaths(runtimeDir));
  } catch {
    // A daemon that says nothing keeps nobody from tidying up: on most systems its worker keeps what it has open.
    return false;
  }
  return (health?.backends ?? []).some(({ model, name: backend }) => backend === name || model?.id === name);
}
