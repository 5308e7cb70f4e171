import type { Sequence } from '../driver.js';
import type { FfiContext } from './ffi-context.js';

/** A sequence of an {@link FfiContext}. What it holds is written down here; llama.cpp cannot be asked. */
export class FfiSequence implements Sequence {
  readonly id: number;
  readonly #context: FfiContext;
  #held: number[] = [];

  constructor(context: FfiContext, id: number) {
    this.#context = context;
    this.id = id;
  }

  tokens(): readonly number[] {
    return this.#held;
  }

  /** Says that `tokens` have been evaluated behind what it holds. */
  append(tokens: readonly number[]): void {
    for (const token of tokens) this.#held.push(token);
  }

  async truncate(length: number): Promise<void> {
    this.cut(length);
  }

  /** {@link truncate} at once. */
  cut(length: number): void {
    if (length >= this.#held.length) return;
    const keeps = length > 0 && this.#context.truncate(this.id, length);
    // A recurrent model has no parts to forget.
    if (!keeps) this.#context.truncate(this.id, 0);
    this.#held.length = keeps ? length : 0;
  }

  async reset(): Promise<void> {
    this.#context.truncate(this.id, 0);
    this.#held = [];
  }

  copyFrom(other: Sequence, length: number): boolean {
    this.#context.truncate(this.id, 0);
    this.#held = [];
    if (!(other instanceof FfiSequence) || other === this || length < 1) return false;
    const taken = other.#held.slice(0, length);
    if (taken.length < length) return false;
    this.#context.copy(other.id, this.id, length);
    if (this.#context.lastPosition(this.id) !== length - 1) {
      this.#context.truncate(this.id, 0);
      return false;
    }
    this.#held = taken;
    return true;
  }

  save(): Uint8Array | undefined {
    return this.#held.length === 0 ? undefined : this.#context.readState(this.id);
  }

  load(state: Uint8Array, tokens: readonly number[]): boolean {
    this.#context.truncate(this.id, 0);
    this.#held = [];
    if (!this.#context.writeState(this.id, state)) return false;
    if (this.#context.lastPosition(this.id) !== tokens.length - 1) {
      this.#context.truncate(this.id, 0);
      return false;
    }
    this.#held = [...tokens];
    return true;
  }
}
