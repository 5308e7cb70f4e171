import { type BatchToken, type ContextOptions, FfiContext } from '../ffi-context.js';
import { FfiModel } from '../ffi-model.js';
import { openNative } from '../open-native.js';

/** A context on a model file, for scripts that are tested in a process of their own. */
export async function openContext(file: string, more: Pick<ContextOptions, 'sequences' | 'watch'>) {
  const { native } = await openNative();
  const parameters = { ...native.modelDefaults(), n_gpu_layers: 0 };
  const model = new FfiModel(native, await native.loadModel(file, parameters));
  const options = { contextSize: 256, batchSize: 64, outputs: 4, threads: 1, ...more };
  const context = await FfiContext.open(model, options);
  if (context === undefined) throw new Error('no context');
  return { native, context };
}

const text = Array.from({ length: 40 }, (_, index) => 3 + ((index * 7) % 40));

/** The tokens of a text of forty from one place to another, on a sequence; the last one has an outcome. */
export function piece(sequence: number, from: number, to: number): readonly BatchToken[] {
  return text.slice(from, to).map((token, index) => ({
    token,
    sequence,
    position: from + index,
    output: from + index === to - 1,
  }));
}
