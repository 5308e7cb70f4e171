import type { FfiContext } from './ffi-context.js';
import type { FfiModel } from './ffi-model.js';
import { GuardError, Handle } from './handle.js';

/** Chooses the most likely token. It keeps nothing between two tokens, so that one serves all sequences of a context. */
export class GreedySampler {
  readonly #model: FfiModel;
  readonly #context: FfiContext;
  readonly #chain: Handle;

  constructor(model: FfiModel, context: FfiContext) {
    const { native } = model;
    this.#model = model;
    this.#context = context;
    this.#chain = new Handle('sampler', native.makeChain({ ...native.chainDefaults(), no_perf: true }));
    const greedy = native.makeGreedy();
    if (greedy === undefined) throw new GuardError('llama.cpp made no sampler.');
    native.addToChain(this.#chain.pointer, greedy);
  }

  /** The most likely token after a place of the last batch. */
  sample(place: number): number {
    return this.#model.native.sample(this.#chain.pointer, this.#context.requireOutput(place), place);
  }
}
