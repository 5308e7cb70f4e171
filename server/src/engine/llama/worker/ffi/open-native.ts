import { findLibraries } from './find-libraries.js';
import { silence } from './log-capture.js';
import { loadNative } from './native.js';
import type { Native } from './native.js';
import { FfiUnavailable } from './unavailable.js';

/**
 * The library of this platform, bound and quiet, with its backends.
 *
 * @throws FfiUnavailable
 */
export async function openNative(): Promise<Native> {
  const libraries = await findLibraries(import.meta.url);
  const koffi = await import('koffi').catch((error: unknown) => {
    throw new FfiUnavailable('The package koffi could not be loaded.', { cause: error });
  });
  const native = loadNative(koffi.default, libraries);
  silence(native);
  native.initBackend();
  native.loadBackends(libraries.folder);
  if (native.countDevices() === 0) throw new FfiUnavailable('llama.cpp found no device to run on.');
  return native;
}
