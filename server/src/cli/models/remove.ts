import { ModelStore } from '../../models/store/model-store.js';
import { modelsHome } from '../../models/store/models-home.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { showBytes } from './format.js';

/** `hearth rm`: removes a model from the store, unless a process of this user has it loaded, whichever. */
export async function removeCommand(name: string, { force }: { readonly force?: true }): Promise<ExitCode> {
  const store = new ModelStore(modelsHome(process.env));
  const claim = force === true ? undefined : await store.claim(name);
  try {
    return await removeClaimed(store, name);
  } finally {
    claim?.release();
  }
}

async function removeClaimed(store: ModelStore, name: string): Promise<ExitCode> {
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
