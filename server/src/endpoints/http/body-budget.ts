import { ApiError, retryHeaders } from './api-error.js';

/**
 * A bound on the bytes of all bodies that are being read at once: many clients with one large body each are no more
 * than a few large bodies.
 */
export class BodyBudget {
  readonly #bytes: number;
  #held = 0;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /**
   * Reserves `bytes` and gives what returns them. A lone body is always let through, however large.
   *
   * @throws ApiError 503 where there is no room now.
   */
  take(bytes: number): () => void {
    if (this.#held > 0 && this.#held + bytes > this.#bytes) {
      const message = 'Too many large requests are arriving at once. Try again in a moment.';
      throw new ApiError(503, 'limit_exceeded', message, { headers: retryHeaders(1000), closes: true });
    }
    this.#held += bytes;
    let held = true;
    return () => {
      if (held) this.#held -= bytes;
      held = false;
    };
  }
}
