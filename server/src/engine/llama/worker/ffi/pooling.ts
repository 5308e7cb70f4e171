import type { EmbedderInfo } from '../messages.js';
import type { FfiModel } from './ffi-model.js';

/** How a model makes one vector, or one score, of a text. */
export interface Pooling {
  readonly name: EmbedderInfo['pooling'];
  /** A value of `llama_pooling_type`. */
  readonly code: number;
  /** Whether the model's file says so: then it was trained for it, and does not generate. */
  readonly isTrained: boolean;
}

const byCode: ReadonlyMap<string, Omit<Pooling, 'isTrained'>> = new Map([
  ['1', { name: 'mean', code: 1 }],
  ['2', { name: 'first', code: 2 }],
  ['3', { name: 'last', code: 3 }],
  ['4', { name: 'rank', code: 4 }],
]);

/** What the model's file says of pooling; a model that generates is asked for the vector of the last token. */
export function findPooling(model: FfiModel): Pooling {
  const architecture = model.metadata('general.architecture') ?? '';
  const said = byCode.get(model.metadata(`${architecture}.pooling_type`) ?? '');
  if (said !== undefined) return { ...said, isTrained: true };
  const isCausal = model.metadata(`${architecture}.attention.causal`) !== 'false';
  return isCausal ? { name: 'last', code: 3, isTrained: false } : { name: 'mean', code: 1, isTrained: true };
}
