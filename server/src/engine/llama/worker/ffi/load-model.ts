import { LoadError } from '../load.js';
import { FfiModel } from './ffi-model.js';
import { explainLog } from './load-failure.js';
import { captureLog } from './log-capture.js';
import type { Native } from './native.js';

/** A model file and how it is to be loaded. */
export interface ModelOrder {
  readonly path: string;
  readonly gpuLayers: number;
  /** Told how much has been read, from 0 to 1. Default: nobody is told. */
  readonly onProgress?: (part: number) => void;
}

/** @throws LoadError with what to tell the user. */
export async function loadModelFile(
  native: Native,
  { path, gpuLayers, onProgress = () => undefined }: ModelOrder,
): Promise<FfiModel> {
  const { ffi } = native;
  const prototype = ffi.pointer(ffi.proto('bool', ['float', 'void *']));
  const progress = ffi.register((part: number) => {
    onProgress(Math.min(1, Math.max(0, part)));
    return true;
  }, prototype);
  try {
    const { result: pointer, lines } = await captureLog(native, () =>
      native.loadModel(path, {
        ...native.modelDefaults(),
        n_gpu_layers: gpuLayers,
        progress_callback: progress,
      }),
    );
    if (pointer !== undefined) return new FfiModel(native, pointer);
    throw new LoadError(
      'model_load_failed',
      explainLog(lines) ??
        'The engine could not load the model file; it may be damaged or made for a newer engine. Try another file.',
    );
  } finally {
    ffi.unregister(progress);
  }
}
