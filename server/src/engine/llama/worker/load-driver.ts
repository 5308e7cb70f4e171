import { loadAddonDriver } from './addon/addon-driver.js';
import type { Driver } from './driver.js';
import { loadFfiDriver } from './ffi/ffi-driver.js';
import { FfiUnavailable } from './ffi/unavailable.js';
import { LoadError } from './load.js';
import type { LoadProgress } from './load.js';
import type { LoadOrder } from './messages.js';

/**
 * Loads a model with the driver that the order names, or with the main one and, where that cannot be used here, the
 * other.
 *
 * @throws LoadError with what to tell the user.
 */
export async function loadDriver(
  order: LoadOrder,
  report: (progress: LoadProgress) => void,
): Promise<{ readonly driver: Driver; readonly driverReason?: string }> {
  if (order.driver === 'addon') {
    return { driver: await loadAddonDriver(order, report), driverReason: 'It was chosen by configuration.' };
  }
  try {
    return { driver: await loadFfiDriver(order, report) };
  } catch (error) {
    // What the model lacks it lacks for every driver.
    if (error instanceof LoadError) throw error;
    const reason = error instanceof FfiUnavailable ? error.message : "llama.cpp's C interface failed in use.";
    if (order.driver === 'ffi') throw new LoadError('internal', reason, { cause: error });
    return { driver: await loadAddonDriver(order, report), driverReason: reason };
  }
}
