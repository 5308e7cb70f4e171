import type { TokenChance } from '../driver.js';

/**
 * Natural log-probabilities of a token and of the likeliest ones in its place, the likeliest first. They are the
 * model's own: before penalties, biases, cuts and temperature.
 *
 * @param alternatives How many of the likeliest to give.
 */
export function tokenLogprob(
  logits: Float32Array,
  token: number,
  alternatives: number,
): TokenChance & { readonly alternatives: readonly TokenChance[] } {
  let largest = -Infinity;
  for (const logit of logits) if (logit > largest) largest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  const total = largest + Math.log(sum);
  const chance = (one: number): TokenChance => ({ token: one, logprob: (logits[one] ?? -Infinity) - total });
  return { ...chance(token), alternatives: likeliest(logits, alternatives).map(chance) };
}

/** The places of the `count` largest numbers, the largest first; of equal ones the earlier. */
function likeliest(logits: Float32Array, count: number): readonly number[] {
  const best: number[] = [];
  if (count === 0) return best;
  let least = -Infinity;
  for (let token = 0; token < logits.length; token += 1) {
    const logit = logits[token] ?? -Infinity;
    if (best.length === count && logit <= least) continue;
    let at = best.length;
    while (at > 0 && logit > (logits[best[at - 1] ?? 0] ?? -Infinity)) at -= 1;
    best.splice(at, 0, token);
    if (best.length > count) best.pop();
    least = logits[best.at(-1) ?? 0] ?? -Infinity;
  }
  return best;
}
