import type { Weighted } from './rendezvous.js';

/** Turns that are kept, one a model and pool; the longest unused is forgotten first. */
const mostTurns = 4096;

/**
 * Smooth weighted round robin, as nginx has it: in each cycle of as many choices as the weights sum up to, everybody is
 * chosen exactly as often as its weight says, and evenly spread (row 131). Each model has turns of its own, so that the
 * traffic of one never skews another (trap 16).
 */
export class WeightedRoundRobin {
  readonly #turns = new Map<string, Map<string, number>>();

  /** @param turn Whose turns these are. */
  choose<Item extends Weighted>(turn: string, items: readonly Item[]): Item | undefined {
    const credits = this.#turns.get(turn) ?? new Map<string, number>();
    this.#turns.delete(turn);
    this.#turns.set(turn, credits);
    if (this.#turns.size > mostTurns) {
      const { value } = this.#turns.keys().next();
      if (value !== undefined) this.#turns.delete(value);
    }
    const noneWeighs = items.every(({ weight }) => weight === 0);
    let total = 0;
    let best: Item | undefined;
    let most = -Infinity;
    for (const item of items) {
      const weight = noneWeighs ? 1 : item.weight;
      if (weight === 0) continue;
      total += weight;
      const credit = (credits.get(item.name) ?? 0) + weight;
      credits.set(item.name, credit);
      if (credit > most) {
        best = item;
        most = credit;
      }
    }
    if (best === undefined) return undefined;
    credits.set(best.name, most - total);
    if (credits.size > items.length) {
      const there = new Set(items.map(({ name }) => name));
      // Who is away for a moment, after a failure, takes up its turns where it left them; long lists are cut.
      if (credits.size > 2 * items.length + 8)
        for (const name of credits.keys()) if (!there.has(name)) credits.delete(name);
    }
    return best;
  }
}
