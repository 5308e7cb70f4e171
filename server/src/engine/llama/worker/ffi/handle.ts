import type { Pointer } from './binder.js';

/** Something was asked of llama.cpp that would have ended the process. It is a mistake in our own code. */
export class GuardError extends Error {
  override readonly name = 'GuardError';
}

/** A native object and its end. After that its address cannot be had any more. */
export class Handle {
  readonly #name: string;
  #pointer: Pointer | undefined;

  /** @throws GuardError where there is no object. */
  constructor(name: string, pointer: Pointer | undefined) {
    if (pointer === undefined || pointer === 0n) throw new GuardError(`There is no ${name}.`);
    this.#name = name;
    this.#pointer = pointer;
  }

  get isFreed(): boolean {
    return this.#pointer === undefined;
  }

  /** @throws GuardError after {@link free}. */
  get pointer(): Pointer {
    if (this.#pointer === undefined) throw new GuardError(`The ${this.#name} has been freed.`);
    return this.#pointer;
  }

  /** @throws GuardError after {@link free}. */
  requireLife(): void {
    if (this.#pointer === undefined) throw new GuardError(`The ${this.#name} has been freed.`);
  }

  /** Ends the object with `release`. A second time does nothing. */
  free(release: (pointer: Pointer) => void): void {
    const pointer = this.#pointer;
    this.#pointer = undefined;
    if (pointer !== undefined) release(pointer);
  }
}

/** Throws unless `value` is an integer from `least` to `most`. */
export function requireRange(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new GuardError(`The ${name} ${value} is not between ${least} and ${most}.`);
}
