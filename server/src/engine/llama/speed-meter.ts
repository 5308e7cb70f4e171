import type { DecodeTiming } from './worker/messages.js';

/** Generations that the speed is taken over. */
const window = 8;

/** Decode speed over the last finished generations. */
export class SpeedMeter {
  #recent: readonly DecodeTiming[] = [];

  add(timing: DecodeTiming): void {
    if (timing.tokens > 0 && timing.milliseconds > 0) this.#recent = [...this.#recent, timing].slice(-window);
  }

  /** Tokens a second; undefined before the first generation that decoded anything. */
  get tokensPerSecond(): number | undefined {
    if (this.#recent.length === 0) return undefined;
    const tokens = this.#recent.reduce((sum, timing) => sum + timing.tokens, 0);
    const milliseconds = this.#recent.reduce((sum, timing) => sum + timing.milliseconds, 0);
    return (tokens / milliseconds) * 1000;
  }
}
