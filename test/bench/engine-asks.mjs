import { Client, isEnd } from './processes.mjs';

/** Questions to the engine under measurement. */

/**
 * Milliseconds to the first token through the socket, and how many tokens of the prompt were there already.
 *
 * @param {import('./processes.mjs').Place} place @param {string} prompt
 */
export async function firstTokenHearth(place, prompt) {
  let firstAt = 0;
  const client = await Client.open(place.inference, ({ type }) => {
    if (type === 'token' && firstAt === 0) firstAt = performance.now();
  });
  const over = client.next(isEnd);
  const since = performance.now();
  client.send({ ...greedy('first', prompt, 2), events: true });
  const { usage } = await over;
  client.close();
  return { ms: firstAt - since, cached: usage.cached_tokens ?? 0 };
}

/** @param {string} id @param {string} prompt @param {number} tokens */
export function greedy(id, prompt, tokens) {
  return { id, prompt, temperature: 0, max_tokens: tokens };
}

/** @param {number[]} values */
export function median(values) {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** Text of so many tokens, different for each seed: in the bench's models bytes are tokens. @param {number} seed @param {number} length */
export function textOf(seed, length) {
  return Array.from({ length }, (_, index) => 'abcdefghij'[(seed + index * index + index * seed) % 10]).join(
    '',
  );
}
