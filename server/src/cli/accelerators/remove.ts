import { AcceleratorStore } from '../../accelerators/accelerator-store.js';
import { kindNames } from '../../accelerators/kinds.js';
import { ModelStore } from '../../models/store/model-store.js';
import { modelsHome } from '../../models/store/models-home.js';
import { type ExitCode, exitCodes } from '../exit-codes.js';
import { showBytes } from '../models/format.js';
import { readKind } from './kind-argument.js';

/** `hearth accelerator remove`: takes a build away. */
export async function removeAccelerator(kindText: string): Promise<ExitCode> {
  const kind = readKind(kindText);
  const store = new ModelStore(modelsHome(process.env));
  const lock = await store.lock('accelerators');
  try {
    const freed = await new AcceleratorStore(store.home).remove(kind);
    process.stdout.write(
      freed === undefined
        ? `There is no ${kindNames[kind]} build.\n`
        : `Removed the ${kindNames[kind]} build; ${showBytes(freed)} are free again.\n`,
    );
    return exitCodes.ok;
  } finally {
    lock.release();
  }
}
