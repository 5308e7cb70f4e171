import { LlamaEngine } from '../engine/llama/llama-engine.js';
import type { Engine } from '../engine/engine.js';
import type { ModelSource } from '../models/model-source.js';

/** An engine that a machine is measured with: one request at a time, on the processor, and no look at the memory. */
export function makeMeasuringEngine(source: ModelSource, contextSize: number): Engine {
  return new LlamaEngine({ source, sequences: 1, contextSize });
}
