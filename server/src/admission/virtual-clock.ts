import type { Clock } from './admission.js';

/** A clock that stands still until it is told to advance. For tests and for replaying traces. */
export class VirtualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ readonly at: number; readonly callback: () => void }>();

  now(): number {
    return this.#now;
  }

  schedule(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  /** Lets time pass; timers that fall due are called in their order, each at its own time. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (let next = this.#due(until); next !== undefined; next = this.#due(until)) {
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
    this.#now = until;
  }

  #due(until: number): { readonly at: number; readonly callback: () => void } | undefined {
    const due = [...this.#timers].filter((timer) => timer.at <= until);
    return due.sort((one, other) => one.at - other.at)[0];
  }
}
