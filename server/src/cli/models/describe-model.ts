import type { Manifest } from '../../models/store/manifest.js';
import { showBytes } from './format.js';

type Described = Pick<
  Manifest,
  'name' | 'sizeBytes' | 'quantization' | 'purpose' | 'chatTemplate' | 'infill'
>;

/** A model in one line, such as `qwen3-4b, 2.5 GB, Q4_K_M, for chat`. */
export function describeModel(model: Described): string {
  const parts = [model.name, showBytes(model.sizeBytes), model.quantization, `for ${abilities(model)}`];
  return parts.filter((part) => part !== undefined).join(', ');
}

/** What a model can do, in a few words. */
export function abilities({ purpose, chatTemplate, infill }: Omit<Described, 'name'>): string {
  switch (purpose) {
    case 'embed':
      return 'embeddings';
    case 'rerank':
      return 'reranking';
    case 'projector':
      return 'pictures, beside another model';
    case 'generate': {
      const can = [...(chatTemplate ? ['chat'] : []), ...(infill ? ['ghost text'] : [])];
      return can.length === 0 ? 'plain completion' : can.join(' and ');
    }
  }
}
