/**
 * How many tokens of prompts go with a step, so that streams that decode do not stall: a step with a piece of a
 * prompt is to take less than twice one without. Where nobody decodes, as many as a step holds.
 */
export interface PaceOptions {
  /** Most tokens of a step. */
  readonly most: number;
  /** How much longer a step may get, as a part of one without a prompt. Default: 0.8. */
  readonly share?: number;
}

/** Tokens while nothing has been measured. */
const firstGuess = 8;
/** Weight of the latest measurement. */
const weight = 0.2;
/** Weight of a look: there are few, and the streams may be others by now. */
const weightOfLook = 0.5;
/**
 * After so many steps with pieces of prompts one goes without: what a step of the streams alone takes grows with their
 * contexts, and is seen in such a step only. Taken for the price of the prompt's tokens, the growth would starve it.
 */
const stepsBetweenLooks = 16;

export class PrefillPace {
  readonly #most: number;
  readonly #share: number;
  /** Milliseconds of a step that only decodes, by how many sequences do. */
  readonly #decodeMs = new Map<number, number>();
  /** Steps with a piece of a prompt beside streams since the last without one. */
  #sinceLook = 0;
  /** Milliseconds that one more token of a prompt takes. */
  #tokenMs: number | undefined;

  constructor({ most, share = 0.8 }: PaceOptions) {
    this.#most = most;
    this.#share = share;
  }

  /** Prompt tokens for a step in which `decoding` sequences decode. 0: this step shows what one without any takes. */
  budget(decoding: number): number {
    if (decoding === 0) return this.#most;
    if (this.#sinceLook >= stepsBetweenLooks) return 0;
    const decodeMs = this.#decodeMs.get(decoding);
    if (decodeMs === undefined || this.#tokenMs === undefined) return Math.min(firstGuess, this.#most);
    return Math.max(1, Math.min(this.#most, Math.floor((this.#share * decodeMs) / this.#tokenMs)));
  }

  /** Takes the time of a step that was not interrupted. */
  observe(decoding: number, promptTokens: number, milliseconds: number): void {
    if (promptTokens === 0) {
      const share = this.#sinceLook >= stepsBetweenLooks ? weightOfLook : weight;
      if (decoding > 0)
        this.#decodeMs.set(decoding, blend(this.#decodeMs.get(decoding), milliseconds, share));
      this.#sinceLook = 0;
      return;
    }
    if (decoding > 0) this.#sinceLook += 1;
    const alone = decoding === 0 ? 0 : this.#decodeMs.get(decoding);
    if (alone === undefined) return;
    const tokenMs = Math.max(0, milliseconds - alone) / promptTokens;
    // A large piece costs less a token than a small one beside decodes: the dearer figure is the safe one.
    if (decoding > 0 || this.#tokenMs === undefined)
      this.#tokenMs = blend(this.#tokenMs, Math.max(0.001, tokenMs));
  }
}

function blend(before: number | undefined, latest: number, share = weight): number {
  return before === undefined ? latest : before + share * (latest - before);
}
