import type { ErrorCode } from '@hearth/protocol';

/** Where a load has got to. */
export type LoadProgress =
  { readonly phase: 'mmap'; readonly progress: number } | { readonly phase: 'kv_cache' };

/** The model cannot be served. `message` holds no path. */
export class LoadError extends Error {
  override readonly name = 'LoadError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.code = code;
  }
}

/** Most threads that are ever used: beyond this memory is the limit. */
export const mostThreads = 8;

/** llama.cpp takes the largest seed to mean a random one. */
export const randomSeed = 0xff_ff_ff_ff;
