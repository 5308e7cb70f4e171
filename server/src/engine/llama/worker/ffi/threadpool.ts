import { Handle, requireRange } from './handle.js';
import type { Pointer } from './binder.js';
import type { Native } from './native.js';
import { FfiUnavailable } from './unavailable.js';

/** Most threads of a pool. */
const mostThreads = 64;

/**
 * Threads that stay: without a pool of its own a context makes its threads anew for each decode, which costs more
 * than they bring.
 */
export class Threadpool {
  readonly threads: number;
  readonly #handle: Handle;
  readonly #free: (pointer: Pointer) => void;

  /** @throws FfiUnavailable where this build has no pools. */
  constructor(native: Native, threads: number) {
    requireRange('number of threads', threads, 1, mostThreads);
    const { ffi, types } = native;
    const registry = native.findBackend('CPU');
    const make = registry && native.procAddress(registry, 'ggml_threadpool_new');
    const free = registry && native.procAddress(registry, 'ggml_threadpool_free');
    if (make === undefined || free === undefined) {
      throw new FfiUnavailable('This build of llama.cpp has no thread pools.');
    }
    const makePrototype = ffi.proto('void *', [ffi.pointer(types.threadpoolParams)]);
    const freePrototype = ffi.proto('void', ['void *']);
    // As its bytes: an object would only be taken where the struct has a name, and names are one for the process.
    const params = Buffer.alloc(ffi.sizeof(types.threadpoolParams));
    ffi.encode(params, types.threadpoolParams, native.threadpoolDefaults(threads));
    const pointer: unknown = ffi.call(make, makePrototype, params);
    this.threads = threads;
    this.#handle = new Handle('thread pool', typeof pointer === 'bigint' ? pointer : undefined);
    this.#free = (address) => {
      ffi.call(free, freePrototype, address);
    };
  }

  /** @throws GuardError after {@link free}. */
  get pointer(): Pointer {
    return this.#handle.pointer;
  }

  /** Ends the threads. No context may have it attached. */
  free(): void {
    this.#handle.free(this.#free);
  }
}
