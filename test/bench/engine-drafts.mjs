import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { median } from './engine-asks.mjs';
import { Client, inPlace, isEnd } from './processes.mjs';

/**
 * Tokens guessed ahead, with the model that comes with Hearth: with random weights nothing could be guessed. It stands in for
 * its own draft model too, whose guesses are then all right and cost as much as the model itself: that shows what a draft
 * model costs where it cannot gain, and that it is left off.
 */

/** @typedef {import('./engine.mjs').Row} Row */

const texts = {
  'text that repeats': `const names = [\n${'  "a name",\n'.repeat(24)}`,
  'text that does not': 'function add(a, b) {',
};
const arms = /** @type {const} */ ({
  off: {},
  lookup: { speculation: 'lookup' },
  draft: { speculation: 'draft', draft_model: 'pilot' },
});
const tokens = 200;

/** @param {number} rounds @returns {Promise<Row[]>} */
export function draftRows(rounds) {
  return withDaemons(async (places) => {
    /** @type {Row[]} */
    const rows = [];
    for (const [what, prompt] of Object.entries(texts)) {
      /** @type {Record<string, { rate: number, guessed: number, right: number }[]>} */
      const found = {};
      for (let round = 0; round < rounds; round += 1) {
        for (const [arm, place] of Object.entries(places)) {
          (found[arm] ??= []).push(await ask(place, `${prompt}${' '.repeat(round % 2)}`));
        }
      }
      const rate = (/** @type {string} */ arm) => median((found[arm] ?? []).map((one) => one.rate));
      rows.push({
        name: `decode of the pilot, guessing ahead, ${what}`,
        values: Object.fromEntries(Object.keys(arms).map((arm) => [arm, rate(arm)])),
        unit: 'tok/s',
        note: ['lookup', 'draft']
          .map(
            (arm) => `${arm} ${(rate(arm) / rate('off')).toFixed(2)} of off, ${accepted(found[arm] ?? [])}`,
          )
          .join('; '),
      });
    }
    return rows;
  });
}

/** @param {{ guessed: number, right: number }[]} runs */
function accepted(runs) {
  const guessed = runs.reduce((sum, one) => sum + one.guessed, 0);
  const right = runs.reduce((sum, one) => sum + one.right, 0);
  if (guessed === 0) return 'nothing guessed';
  return `${right} of ${guessed} guesses right, of ${runs.length * tokens} tokens`;
}

/**
 * Tokens a second from the first token on. The first answer of a text teaches which steps pay; it counts too.
 *
 * @param {import('./processes.mjs').Place} place @param {string} prompt
 */
async function ask(place, prompt) {
  let since = 0;
  const client = await Client.open(place.inference, ({ type }) => {
    if (type === 'token' && since === 0) since = performance.now();
  });
  const over = client.next(isEnd);
  client.send({ id: 'd', prompt, temperature: 0, max_tokens: tokens, events: true });
  const { usage, timings = {} } = await over;
  const seconds = (performance.now() - since) / 1000;
  client.close();
  return {
    rate: (usage.completion_tokens - 1) / seconds,
    guessed: timings.draft_tokens ?? 0,
    right: timings.draft_accepted ?? 0,
  };
}

/**
 * A daemon for each arm, all at once: idle ones cost nothing.
 *
 * @template T @param {(places: Record<string, import('./processes.mjs').Place>) => Promise<T>} body
 */
function withDaemons(body) {
  const open = Object.entries(arms).reduceRight(
    (inner, [arm, config]) =>
      async (/** @type {Record<string, import('./processes.mjs').Place>} */ places) =>
        inPlace(async (place) => {
          mkdirSync(path.join(place.root, '.hearth'), { recursive: true, mode: 0o700 });
          writeFileSync(path.join(place.root, '.hearth/config.json'), JSON.stringify(config));
          await place.serveModel('pilot', ['--active-permits', '1']);
          return inner({ ...places, [arm]: place });
        }),
    body,
  );
  return open({});
}
