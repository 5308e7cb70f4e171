import { createHash } from 'node:crypto';

/** Somebody to choose, with a share. */
export interface Weighted {
  readonly name: string;
  /** 0: only where all have 0. */
  readonly weight: number;
}

/**
 * Highest random weight (Thaler and Ravishankar, 1998; with weights after Schindelhauer and Schomaker, 2005): each pair
 * of key and name has a score, and the best has the key. Who comes or goes moves only the keys that are its own, about
 * one in n (row 133), and the order of the list does not matter.
 */
export function rendezvous<Item extends Weighted>(key: string, items: readonly Item[]): Item | undefined {
  const noneWeighs = items.every(({ weight }) => weight === 0);
  let best: Item | undefined;
  let bestScore = -1;
  for (const item of items) {
    const weight = noneWeighs ? 1 : item.weight;
    const score = weight === 0 ? 0 : -weight / Math.log(unit(key, item.name));
    if (score > bestScore || (score === bestScore && best !== undefined && item.name < best.name)) {
      best = item;
      bestScore = score;
    }
  }
  return best;
}

/** A number in the open interval from 0 to 1, by hash. */
function unit(key: string, name: string): number {
  const digest = createHash('sha256').update(key).update('\0').update(name).digest();
  return (digest.readUIntBE(0, 6) + 1) / (2 ** 48 + 2);
}
