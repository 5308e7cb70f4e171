import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { type GpuKind, kindNames } from '../../../../accelerators/kinds.js';
import { LoadError } from '../load.js';
import type { GpuInfo, GpuOrder } from '../messages.js';
import type { Koffi } from './binder.js';
import { cpuVariantIn, findGpu, missingLibrary } from './devices.js';
import { findLibraries, type Libraries, readFolder } from './find-libraries.js';
import { captureLog, silence } from './log-capture.js';
import { loadNative } from './native.js';
import type { Native } from './native.js';
import { FfiUnavailable } from './unavailable.js';

/** The library, and what it found to compute with. */
export interface OpenedNative {
  readonly native: Native;
  readonly cpuVariant: string | undefined;
  /** Undefined where no card was asked for. */
  readonly gpu: GpuInfo | undefined;
}

/**
 * The library of this platform or of the build for a graphics card, bound and quiet, with its backends.
 *
 * @throws FfiUnavailable
 * @throws LoadError where a card was asked for and there is none: the other driver would find none either.
 */
export async function openNative(order?: Pick<GpuOrder, 'kind' | 'folder'>): Promise<OpenedNative> {
  const libraries = await findBuild(order?.folder);
  const koffi = await import('koffi').catch((error: unknown) => {
    throw new FfiUnavailable('The package koffi could not be loaded.', { cause: error });
  });
  const native = loadNative(koffi.default, libraries);
  silence(native);
  native.initBackend();
  const { lines } = await captureLog(native, async () => native.loadBackends(libraries.folder));
  if (native.countDevices() === 0) throw new FfiUnavailable('llama.cpp found no device to run on.');
  const cpuVariant = cpuVariantIn(lines);
  if (order === undefined) return { native, cpuVariant, gpu: undefined };
  const gpu = findGpu(native, order.kind) ?? (await tryFallback(native, libraries, order.kind));
  if (gpu !== undefined) return { native, cpuVariant, gpu };
  throw new LoadError('backend_unavailable', await explainAbsence(koffi.default, libraries, order.kind));
}

async function findBuild(folder: string | undefined): Promise<Libraries> {
  if (folder === undefined) return findLibraries(import.meta.url);
  const found = await readFolder(folder);
  if (found === undefined) throw new FfiUnavailable('The build for the graphics card is not complete.');
  return found;
}

/** The build for older drivers, where a package has one. */
async function tryFallback(
  native: Native,
  { folder }: Libraries,
  kind: GpuKind,
): Promise<GpuInfo | undefined> {
  const older = path.join(folder, 'fallback');
  const names = await readdir(older).catch(() => []);
  if (names.length === 0) return undefined;
  native.loadBackends(older);
  return findGpu(native, kind);
}

/** Why there is no card. llama.cpp passes over a library that cannot be loaded without a word, so it is tried alone. */
async function explainAbsence(koffi: Koffi, { folder }: Libraries, kind: GpuKind): Promise<string> {
  const name = (await readdir(folder)).find((one) => one.startsWith(`libggml-${kind}.`));
  const missing = name === undefined ? undefined : tryLibrary(koffi, path.join(folder, name));
  return missing === undefined
    ? `No graphics card was found that ${kindNames[kind]} can use.`
    : `The library ${missing} is not on this machine. The driver of the graphics card brings it.`;
}

function tryLibrary(koffi: Koffi, file: string): string | undefined {
  try {
    koffi.load(file);
    return undefined;
  } catch (error) {
    return missingLibrary(error instanceof Error ? error.message : '');
  }
}
