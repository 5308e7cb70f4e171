/**
 * Deaths of workers that a graphics card computed for. Each costs what was being written, so a card on which the engine
 * dies again and again is left, though its self-test goes on passing.
 */

/** Deaths after which a card is left, where they came within {@link windowMs} of each other. */
export const mostCardDeaths = 3;
/** Milliseconds after which a death counts no longer. */
export const windowMs = 600_000;

/** Times of the deaths that count, in milliseconds of a monotonic clock; at most {@link mostCardDeaths}. */
export type CardDeaths = readonly number[];

/** What counts after a death at `now`. */
export function afterCardDeath(deaths: CardDeaths, now: number): CardDeaths {
  return [...deaths.filter((at) => now - at < windowMs), now].slice(-mostCardDeaths);
}

/** Whether the card is to be left. */
export function isCardLost(deaths: CardDeaths): boolean {
  return deaths.length >= mostCardDeaths;
}
